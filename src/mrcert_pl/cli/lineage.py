"""Lineage of the runs of commands, for Weights & Biases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrcert_pl.data import Record, Split
from mrcert_pl.data.attacked_header import read_header
from mrcert_pl.models.checkpoints import read_description
from mrcert_pl.results.schema import ThresholdResult, TrainingResult
from mrcert_pl.tasks.attack import Attack, AttackSettings
from mrcert_pl.tasks.evaluation import Evaluation, EvaluationSettings
from mrcert_pl.tasks.settings import DatasetSettings
from mrcert_pl.tasks.subject import SubjectSettings
from mrcert_pl.tasks.thresholds import ThresholdSettings
from mrcert_pl.tasks.training import TrainingSettings
from mrcert_pl.views.wandb import (
    Artifact,
    Artifacts,
    attacked_artifact,
    checkpoint_artifact,
    dataset_artifact,
    outcome_artifact,
    tables_artifact,
)
from mrcert_pl.views.wandb.charts import accuracies


def training_artifacts(settings: TrainingSettings, result: TrainingResult) -> Artifacts:
    """Return inputs and outputs of a training as artifacts."""
    splits: tuple[Split, ...] = ("train", "val")
    images = [record for split in splits for record in _records(settings.dataset, settings.run.seed, split)]
    first = [_checkpoint(settings.srf_checkpoint)] if settings.stage == "split" and settings.srf_checkpoint else []
    made = [_checkpoint(result.checkpoint, result.weights_sha256)] if result.checkpoint else []
    used = (dataset_artifact(result.dataset, "train-val", images), *first)
    name = f"train-{settings.dataset.name}-{settings.model.name}-p{settings.patch}"
    return Artifacts(used, (*made, outcome_artifact(settings.run.folder, name, {})))


def evaluation_artifacts(settings: EvaluationSettings, done: Evaluation) -> Artifacts:
    """Return inputs and outputs of an evaluation as artifacts."""
    result, name = done.result, _name(settings, done.result.model, done.result.patch)
    labels = tables_artifact(done.tables, name, result.weights_sha256)
    outcome = outcome_artifact(done.folder, f"eval-{name}-{result.defender}", accuracies(result))
    if settings.table is not None:
        return Artifacts((labels,), (outcome,))
    return Artifacts(_used(settings, result.weights_sha256), (labels, outcome))


def attack_artifacts(settings: AttackSettings, done: Attack) -> Artifacts:
    """Return inputs and outputs of an attack as artifacts."""
    result = done.result
    facts = {"base_before": result.before.measured, "base_after": result.after.measured}
    outcome = outcome_artifact(done.folder, f"attack-{_name(settings, result.model, result.patch)}", facts)
    attacked = attacked_artifact(done.attacked, read_header(done.attacked).to_json())
    return Artifacts(_used(settings, result.weights_sha256), (attacked, outcome))


def audit_artifacts(settings: SubjectSettings, audit: str, result: Any) -> Artifacts:
    """Return inputs and outputs of an audit as artifacts."""
    name = f"{audit}-{_name(settings, result.model, result.patch)}"
    return Artifacts(_used(settings, result.weights_sha256), (outcome_artifact(settings.run.folder, name, {}),))


def threshold_artifacts(settings: ThresholdSettings, result: ThresholdResult) -> Artifacts:
    """Return inputs and outputs of a comparison of thresholds as artifacts."""
    name = f"thresholds-{_name(settings, result.model, result.patch)}-{result.defender}"
    facts = {} if result.best is None else {"best": result.best.threshold}
    outcome = outcome_artifact(settings.run.folder, name, facts)
    return Artifacts(_used(settings, result.weights_sha256, "val"), (outcome,))


def _used(settings: SubjectSettings, weights_sha256: str, split: Split = "test") -> tuple[Artifact, ...]:
    """Return the images and the checkpoint of a command."""
    dataset = settings.dataset
    if dataset.name == "attacked" and dataset.root is not None:
        images = attacked_artifact(dataset.root, read_header(dataset.root).to_json())
    else:
        images = dataset_artifact(dataset.name, split, _records(dataset, settings.run.seed, split))
    return (images, *([_checkpoint(settings.checkpoint, weights_sha256)] if settings.checkpoint else []))


def _records(dataset: DatasetSettings, seed: int, split: Split) -> Sequence[Record]:
    # No image is opened, so the image size does not matter.
    return dataset.load((224, 224), seed).split(split).records


def _checkpoint(path: str | Path, weights_sha256: str | None = None) -> Artifact:
    return checkpoint_artifact(Path(path), read_description(path), weights_sha256)


def _name(settings: SubjectSettings, model: str, patch: object) -> str:
    return f"{settings.dataset.name}-{model}-p{patch}"
