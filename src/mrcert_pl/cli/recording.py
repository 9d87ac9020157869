"""Lineage of the runs of commands, for Weights & Biases."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.views.wandb import (
    Artifact,
    Artifacts,
    attacked_artifact,
    checkpoint_artifact,
    dataset_artifact,
    outcome_artifact,
    tables_artifact,
)

if TYPE_CHECKING:
    from mrcert_pl.data import ImageDataModule


def training_artifacts(cfg: DictConfig, data: "ImageDataModule", best: str | None, digest: str | None) -> Artifacts:
    """What a training used and made."""
    records = [record for split in ("train", "val") for record in data.split(split).records]
    first = [checkpoint(cfg.srf_checkpoint)] if cfg.stage == "split" else []
    made = [checkpoint(best, digest)] if best else []
    used = (dataset_artifact(data.description.name, "train-val", records), *first)
    return Artifacts(used, (*made, outcome_artifact(Path(cfg.paths.run_dir), run_name(cfg), {})))


def evaluation_artifacts(cfg: DictConfig, data: "ImageDataModule", result: Any, tables: Path, facts: Any) -> Artifacts:
    """What an evaluation used and made."""
    labels = tables_artifact(tables, _subject(cfg), result.weights_sha256)
    outcome = outcome_artifact(Path(cfg.paths.run_dir), f"{run_name(cfg)}-{result.defender}", facts)
    if cfg.table is not None:
        return Artifacts((labels,), (outcome,))
    return Artifacts((images(cfg, data), checkpoint(cfg.checkpoint, result.weights_sha256)), (labels, outcome))


def attack_artifacts(cfg: DictConfig, data: "ImageDataModule", result: Any, folder: Path, facts: Any) -> Artifacts:
    """What an attack used and made."""
    from mrcert_pl.data.attacked import read_header

    outcome = outcome_artifact(Path(cfg.paths.run_dir), run_name(cfg), facts)
    used = images(cfg, data), checkpoint(cfg.checkpoint, result.weights_sha256)
    return Artifacts(used, (attacked_artifact(folder, read_header(folder)), outcome))


def audit_artifacts(cfg: DictConfig, data: "ImageDataModule", result: Any) -> Artifacts:
    """What an audit used and made."""
    outcome = outcome_artifact(Path(cfg.paths.run_dir), run_name(cfg), {})
    return Artifacts((images(cfg, data), checkpoint(cfg.checkpoint, result.weights_sha256)), (outcome,))


def run_name(cfg: DictConfig) -> str:
    """Command and subject of a run."""
    return f"{cfg.paths.command}-{_subject(cfg)}"


def checkpoint(path: str | Path, weights_sha256: str | None = None) -> Artifact:
    """A checkpoint as an artifact."""
    return checkpoint_artifact(Path(path), read_checkpoint(path).origin, weights_sha256)


def images(cfg: DictConfig, data: "ImageDataModule") -> Artifact:
    """The test images of a command as an artifact: of a data set, or an attacked set."""
    from mrcert_pl.data.attacked import read_header

    if cfg.dataset.name == "attacked":
        folder = Path(cfg.dataset.path)
        return attacked_artifact(folder, read_header(folder))
    return dataset_artifact(data.description.name, "test", data.split("test").records)


def _subject(cfg: DictConfig) -> str:
    return f"{cfg.dataset.name}-{cfg.model.name}-p{cfg.patch}"
