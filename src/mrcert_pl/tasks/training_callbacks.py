"""Callbacks of a training: certified validation, checkpoints, seeds."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.callbacks import Callback

from mrcert_pl.callbacks import BatchSeeds, Checkpoint, MutantPredictions
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.mutants import MutantSet
from mrcert_pl.tasks.subject import defender_of
from mrcert_pl.tasks.training import TrainingSettings


def default_callbacks(settings: TrainingSettings) -> dict[str, Callback]:
    """Return the callbacks of a training whose settings name none."""
    folder = settings.run.folder / "checkpoints"
    monitor = "val/unmasked_accuracy" if settings.stage == "srf_vanilla" else "val/certified_accuracy"
    never_numbered: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False}
    return {
        "mutant_predictions": MutantPredictions(
            defender_of(settings.defender, settings.patches),
            settings.patch,
            settings.stride,
            settings.validation_images,
        ),
        "checkpoint": Checkpoint(
            filename="best", monitor=monitor, mode="max", auto_insert_metric_name=False, **never_numbered
        ),
        "resume": Checkpoint(filename="last", save_on_train_epoch_end=True, **never_numbered),
        "seeds": BatchSeeds(settings.run.seed),
    }


def best_checkpoint(callbacks: Mapping[str, Callback]) -> Checkpoint | None:
    """Return the callback that chooses the best checkpoint."""
    found = callbacks.get("checkpoint")
    return found if isinstance(found, Checkpoint) else None


def validation_mutants(model: BaseModel, callbacks: Mapping[str, Callback]) -> MutantSet | None:
    """Return the mutants that a validation evaluates, if it certifies images."""
    certifying = next((found for found in callbacks.values() if isinstance(found, MutantPredictions)), None)
    return None if certifying is None else certifying.mutants_of(model)
