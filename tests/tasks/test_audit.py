"""``mrcert_pl.audit_certificates`` and ``mrcert_pl.audit_numerics`` from Python."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from foreign_model import Grid

from mrcert_pl import (
    CertificateAuditSettings,
    DatasetSettings,
    NumericsSettings,
    RunSettings,
    audit_certificates,
    audit_numerics,
)
from mrcert_pl.attacks.certificate_audit import CertificateAudit
from mrcert_pl.defenders import PatchCURE, Verdicts
from mrcert_pl.errors import ConfigurationError, ResultsError
from mrcert_pl.models import ViTSRF
from mrcert_pl.results.schema import CertificateAuditResult, NumericsResult
from mrcert_pl.tasks.audit import _rounded_up, check_attacked

Run = Callable[..., RunSettings]


def settings(run: RunSettings, model: Any, **changed: Any) -> CertificateAuditSettings:
    known: dict[str, Any] = {
        "dataset": DatasetSettings(limit=2),
        "patch": 32,
        "defender": "patchcure",
        "step_px": 150,
        "exemplars": 1,
        "adaptive": {"steps": 1, "mutants": 2},
        "device": "cpu",
    }
    return CertificateAuditSettings(model=model, **{**known, "run": run, **changed})


def test_certificates_hold(tiny_vit: ViTSRF, run: Run) -> None:
    with torch.no_grad():
        # One label by far, so that there are certificates.
        tiny_vit.head.bias[3] += 5
    result = audit_certificates(settings(run(), tiny_vit))
    assert result == CertificateAuditResult.read(run().folder / "certificates.json")
    assert (result.images, result.placements, result.breaks) == (2, 9, ())
    assert result.certified > 0
    tried = {tally.name: tally.tried for tally in result.attacks}
    assert tried["adaptive"] == tried["random"] == 9 * result.certified
    assert (result.labels_broken, result.certificates_broken) == (0, 0)
    assert (result.mutants_evaluated or 0) > 91
    check_attacked(result)
    with pytest.raises(ConfigurationError, match="none of the 2 images is certified, so nothing was attacked"):
        check_attacked(replace(result, certified=0))
    with pytest.raises(ResultsError, match=r"certificates\.json is the result of an earlier run"):
        audit_certificates(settings(run(), tiny_vit))


def test_whole_images_are_kept_after_a_stop(
    tiny_vit: ViTSRF, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with torch.no_grad():
        tiny_vit.head.bias[3] += 5
    attack, seen = CertificateAudit._attack, []

    def stopped(self: CertificateAudit, *arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 12:
            raise KeyboardInterrupt
        return attack(self, *arguments)

    monkeypatch.setattr(CertificateAudit, "_attack", stopped)
    with pytest.raises(KeyboardInterrupt):
        audit_certificates(settings(run(), tiny_vit))
    result = CertificateAuditResult.read(run().folder / "certificates.json")
    assert (result.images, result.certified) == (1, 1)
    assert {tally.tried for tally in result.attacks if tally.name in ("adaptive", "random")} == {9}
    assert f"1 of 2 images are finished: {run().folder / 'certificates.json'}" in caplog.text


def test_a_broken_promise_leaves_a_file(tiny_vit: ViTSRF, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = PatchCURE.decide_complete

    def credulous(self: PatchCURE, table: Any) -> Verdicts:
        """Certifies whatever the base model says."""
        verdicts = decide(self, table)
        return replace(verdicts, certified=torch.ones_like(verdicts.certified), label=table.labels[:, 0].long())

    monkeypatch.setattr(PatchCURE, "decide_complete", credulous)
    tiny_vit.requires_grad_(False)
    for parameter in tiny_vit.parameters():
        parameter += 0.3 * torch.randn_like(parameter)
    wide = {"patch": "224x48", "step_px": 90, "adaptive": {"steps": 20}}
    result = audit_certificates(settings(run(), tiny_vit, **wide))
    assert result.labels_broken > 0
    assert len(list((run().folder / "breaks").glob("*.npz"))) == len(result.breaks) > 0


def test_the_spread_of_logits(tiny_vit: ViTSRF, run: Run) -> None:
    result = audit_numerics(
        NumericsSettings(model=tiny_vit, patch=32, dataset=DatasetSettings(limit=2), mutants=3, run=run())
    )
    assert result == NumericsResult.read(run().folder / "numerics.json")
    assert (result.images, result.mutants) == (2, 6)
    for precision, delta in result.delta.items():
        largest = max(spread.delta for spread in result.spreads if spread.precision == precision)
        assert largest <= delta <= 2 * largest
        assert 2 * delta <= result.margin[precision] <= 2.2 * delta


@pytest.mark.parametrize("margin", [0.0, 1e-7, 0.00123, 0.0999, 1.0, 12.34])
def test_margins_are_rounded_up(margin: float) -> None:
    rounded = _rounded_up(margin)
    assert margin <= rounded <= 1.1 * margin + 1e-300
    assert rounded == float(f"{rounded:.1e}")
    assert math.isfinite(rounded)


def test_a_model_that_cannot_be_attacked_says_what_it_lacks(run: Run) -> None:
    model = Grid()
    with torch.no_grad():
        # One label whatever the image shows: everything is certified.
        model.head.weight.zero_()
        model.head.bias.copy_(torch.arange(10.0))
    with pytest.raises(ConfigurationError, match=r"needs a model with classify\(\), unlike Grid"):
        audit_certificates(settings(run(), model, patch=4))
