"""``mrcert audit certificates``, on a model of a few thousand weights."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_checkpoint import CHECKPOINT
from tiny import TINY

from mrcert_pl.defenders import PatchCURE, Verdicts

Command = Callable[..., None]

AUDIT = ["audit", "certificates", *TINY, "patch=32", "images=3", "step_px=100", "adaptive.steps=2", "device=cpu"]


def test_certificates_are_attacked(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    untrained(*AUDIT, "defender=patchcure")
    output = capsys.readouterr().out
    (file,) = Path("outputs/audit").rglob("certificates.json")
    content = json.loads(file.read_text())
    assert content["images"] == 3
    assert content["certified"] > 0
    assert content["placements"] == 9
    tried = {tally["name"]: tally["tried"] for tally in content["attacks"]}
    assert tried["adaptive"] == tried["random"] == 9 * content["certified"]
    assert (content["labels_broken"], content["certificates_broken"], content["breaks"]) == (0, 0, [])
    assert f"patchcure: {content['certified']} certified of 3 images" in output


def test_a_detector_is_attacked_on_its_alert_too(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    untrained(*AUDIT, "defender=hicert", "defender.threshold=0.9")
    output = capsys.readouterr().out
    (file,) = Path("outputs/audit").rglob("certificates.json")
    content = json.loads(file.read_text())
    assert content["certified"] > 0
    silent = next(tally for tally in content["attacks"] if tally["name"] == "silent")
    assert silent["tried"] == 9 * content["certified"]
    assert silent["detected"] is not None
    assert (content["labels_broken"], content["round_trip"], content["breaks"]) == (0, 0, [])
    assert f"hicert: {content['certified']} detection-certified of 3 images, patches at 9 locations" in output
    assert "other label with an alert" in output


def test_a_broken_certificate_is_written_and_the_command_fails(
    untrained: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    def credulous(self: PatchCURE, table: Any) -> Verdicts:
        """Certifies whatever the base model says."""
        verdicts = decide(self, table)
        return replace(verdicts, certified=torch.ones_like(verdicts.certified), label=table.labels[:, 0].long())

    decide = PatchCURE.decide_complete
    wide = ["patch=224x48", "step_px=90", "adaptive.steps=20", f"checkpoint={CHECKPOINT}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PatchCURE, "decide_complete", credulous)
        with pytest.raises(SystemExit, match="1"):
            untrained(*AUDIT, *wide, "defender=patchcure")
    written = list(Path("outputs/audit").rglob("breaks/*.npz"))
    assert written
    message = capsys.readouterr().err
    assert f"{len(written)} patches break what was certified" in message
    assert "Traceback" not in message


def test_an_audit_of_nothing_is_no_success(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        untrained(*AUDIT, "defender=undefended")
    assert "none of the 3 images is certified" in capsys.readouterr().err


def test_the_help_lists_its_settings(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("audit", "certificates", "--help")
    output = capsys.readouterr().out
    assert output.startswith("Attack certified images")
    for setting in ("step_px=56", "exemplars=2", "device=auto", "adaptive.steps=20", "images=8"):
        assert f"  {setting} " in output
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["step_px=0"], "step_px must be a whole number of at least 1, got 0"),
        (["exemplars=-1"], "exemplars must be a whole number of at least 0, got -1"),
        (["images=0"], "images must be a whole number of at least 1, got 0"),
        (["step=3"], "there is no setting step; did you mean "),
        (["device=tpu"], "there is no device 'tpu'"),
        (["adaptive.steps=-1"], "the steps of an attack must be a whole number of at least 0, got -1"),
        (["adaptive.starts=0"], "the starts of an attack must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_settings(untrained: Command, refused: Callable[..., str], arguments: list[str], message: str) -> None:
    assert re.search(message, refused(*AUDIT, *arguments))
    assert list(Path().rglob("certificates.json")) == []
