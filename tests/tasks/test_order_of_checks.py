"""Data, outputs and settings are checked before weights are loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_tasks import CPU, SMALL_VIT, training

from mrcert_pl import (
    AttackSettings,
    CertificateAuditSettings,
    DatasetSettings,
    EvaluationSettings,
    ModelSettings,
    NumericsSettings,
    RunSettings,
    ThresholdSettings,
    attack,
    audit_certificates,
    audit_numerics,
    compare_thresholds,
    evaluate,
    train,
)
from mrcert_pl.errors import MRCertError

PRETRAINED = ModelSettings("vit_srf", {**SMALL_VIT, "pretrained": True})
TASKS: dict[str, Callable[..., Any]] = {
    "train": lambda **given: train(training(given.pop("run").folder, model=PRETRAINED, **given)),
    "evaluate": lambda **given: evaluate(EvaluationSettings(model=PRETRAINED, trainer=CPU, **given)),
    "attack": lambda **given: attack(AttackSettings(model=PRETRAINED, trainer=CPU, **given)),
    "certificates": lambda **given: audit_certificates(CertificateAuditSettings(model=PRETRAINED, **given)),
    "numerics": lambda **given: audit_numerics(NumericsSettings(model=PRETRAINED, **given)),
    "thresholds": lambda **given: compare_thresholds(ThresholdSettings(model=PRETRAINED, **given)),
}
MASKED = ("train", "evaluate", "certificates", "thresholds")


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcert_pl.models.backbones.hub_weights", lambda name: pytest.fail("weights were loaded"))


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        *((task, {"dataset": DatasetSettings("imagenette", Path("nowhere"))}, "there is no folder") for task in TASKS),
        *((task, {"dataset": DatasetSettings("cifar1")}, "unknown data set 'cifar1'") for task in TASKS),
        *((task, {"patch": 300}, "larger than the image") for task in MASKED),
        *((task, {"patch": 32, "stride": 0}, "stride must be") for task in MASKED),
        *((task, {"patch": 32, "out": True}, "Not a directory") for task in TASKS),
        *((task, {"device": "tpu"}, "there is no device 'tpu'") for task in ("certificates", "numerics", "thresholds")),
    ],
)
def test_weights_come_last(task: str, given: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    if given.pop("out", False):
        (tmp_path / "file").write_text("a file in place of a folder")
        folder = tmp_path / "file" / "run"
    with pytest.raises((MRCertError, OSError), match=message):
        TASKS[task](**{"patch": 32, **given, "run": RunSettings(folder)})


def test_a_missing_data_set_is_downloaded_before_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetched: list[Path | None] = []
    monkeypatch.setattr("mrcert_pl.data.DatasetDescription.fetch", lambda self, root: fetched.append(root))
    with pytest.raises(MRCertError, match="there is no folder"):
        train(training(tmp_path / "run", dataset=DatasetSettings("imagenette", tmp_path / "none", download=True)))
    assert fetched == [tmp_path / "none"]
