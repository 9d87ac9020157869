"""What runs used and made, without a run of W&B."""

from pathlib import Path
from typing import Any

import pytest
import torch
from result_files import ENVIRONMENT, result_of, row

from mrcert_pl.cli.lineage import (
    attack_artifacts,
    audit_artifacts,
    evaluation_artifacts,
    threshold_artifacts,
    training_artifacts,
)
from mrcert_pl.data import AttackedSet, AttackedSetHeader
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.results import Accuracy, AttackResult, ThresholdResult, ThresholdRow, TrainingResult
from mrcert_pl.tasks.attack import Attack, AttackSettings
from mrcert_pl.tasks.evaluation import Evaluation, EvaluationSettings
from mrcert_pl.tasks.settings import DatasetSettings, RunSettings
from mrcert_pl.tasks.thresholds import ThresholdSettings
from mrcert_pl.tasks.training import TrainingSettings
from mrcert_pl.views.wandb import Artifact

DIGEST = "ab" * 32
FACTS: dict[str, Any] = {
    "dataset": "digits",
    "model": "vit_srf",
    "patch": 32,
    "seed": 0,
    "environment": ENVIRONMENT,
}


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_vit: ViTSRF) -> Path:
    state = {f"model.{name}": value for name, value in tiny_vit.state_dict().items()}
    origin = {**describe_model(tiny_vit), "name": "vit_srf", "dataset": "digits", "patch": "32"}
    torch.save({"state_dict": state, "mrcert": origin}, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def kinds(artifacts: tuple[Artifact, ...]) -> list[tuple[str, str]]:
    return [(artifact.kind, artifact.name) for artifact in artifacts]


def test_a_training_uses_its_images_and_the_first_stage(tmp_path: Path, checkpoint: Path) -> None:
    result = TrainingResult(**FACTS, checkpoint=str(checkpoint), weights_sha256=DIGEST)
    settings = TrainingSettings(patch=32, run=RunSettings(tmp_path))
    lineage = training_artifacts(settings, result)
    assert kinds(lineage.used) == [("dataset", "digits-train-val")]
    assert kinds(lineage.made) == [("model", "digits-vit_srf-p32"), ("results", "train-digits-vit_srf-p32")]
    assert lineage.made[0].facts["weights_sha256"] == DIGEST
    second = TrainingSettings(patch=32, stage="split", srf_checkpoint=checkpoint, run=RunSettings(tmp_path))
    assert [kind for kind, _ in kinds(training_artifacts(second, result).used)] == ["dataset", "model"]


def evaluated(folder: Path) -> Evaluation:
    (folder / "mutants").mkdir(parents=True)
    rows = [row(1)]
    return Evaluation(result_of(rows, patch=32), rows, None, folder, folder / "mutants", ["0", "1"])


def test_an_evaluation_uses_images_and_weights_or_stored_labels(tmp_path: Path, checkpoint: Path) -> None:
    done = evaluated(tmp_path / "run")
    whole = evaluation_artifacts(EvaluationSettings(checkpoint, run=RunSettings(done.folder)), done)
    assert kinds(whole.used) == [("dataset", "digits-test"), ("model", "digits-vit_srf-p32")]
    outcome = ("results", "eval-digits-vit_srf-p32-mrcert")
    assert kinds(whole.made) == [("mutants", "digits-vit_srf-p32-mutants"), outcome]
    reapplied = evaluation_artifacts(EvaluationSettings(table=done.tables, run=RunSettings(done.folder)), done)
    assert reapplied.used[0].facts == whole.made[0].facts
    assert kinds(reapplied.used) == [("mutants", "digits-vit_srf-p32-mutants")]
    assert kinds(reapplied.made) == [outcome]


def test_an_attacked_set_is_made_once_and_used_later(tmp_path: Path) -> None:
    folder = tmp_path / "attacked"
    AttackedSet(
        folder,
        AttackedSetHeader(
            source="digits",
            classes=("0", "1"),
            images=(1,),
            quantize=True,
            patch=32,
            model_name="vit_srf",
            model_kind="vit_srf",
            model_settings={},
            checkpoint="",
            weights_sha256=DIGEST,
            precision="32-true",
            device="cpu",
        ),
    )
    before, after = Accuracy(1, 1), Accuracy(0, 1)
    result = AttackResult(
        **FACTS,
        weights_sha256=DIGEST,
        attack="ifgsm",
        n=1,
        before=before,
        after=after,
        successes=1,
        attacked=str(folder),
    )
    settings = AttackSettings(run=RunSettings(tmp_path))
    made = attack_artifacts(settings, Attack(result, tmp_path, folder, ["0", "1"]))
    assert kinds(made.made) == [("attacked", "digits-attacked-p32"), ("results", "attack-digits-vit_srf-p32")]
    assert kinds(made.used) == [("dataset", "digits-test")]
    attacked = EvaluationSettings(dataset=DatasetSettings("attacked", root=folder), run=RunSettings(tmp_path))
    used = evaluation_artifacts(attacked, evaluated(tmp_path / "run")).used
    assert (used[0].name, used[0].facts) == (made.made[0].name, made.made[0].facts)
    audit = audit_artifacts(attacked, "audit-numerics", result)
    assert kinds(audit.made) == [("results", "audit-numerics-attacked-vit_srf-p32")]


def test_thresholds_are_compared_on_validation_images(tmp_path: Path, checkpoint: Path) -> None:
    accuracy = {"certified": Accuracy(1, 2), "round_trip": Accuracy(1, 2)}
    row = ThresholdRow(0.5, accuracy, 9.0)
    result = ThresholdResult(**FACTS, weights_sha256=DIGEST, defender="mrcert", n=2, rows=(row,))
    lineage = threshold_artifacts(ThresholdSettings(checkpoint, run=RunSettings(tmp_path)), result)
    assert kinds(lineage.used) == [("dataset", "digits-val"), ("model", "digits-vit_srf-p32")]
    assert kinds(lineage.made) == [("results", "thresholds-digits-vit_srf-p32-mrcert")]
    assert lineage.made[0].facts["best"] == 0.5
