"""A small model, and the settings of a training of one epoch."""

from pathlib import Path

from mrcert_pl import DatasetSettings, ModelSettings, RecipeSettings, RunSettings, TrainerSettings, TrainingSettings
from mrcert_pl.callbacks import Checkpoint, MutantPredictions
from mrcert_pl.defenders import PatchCURE

SMALL_VIT = {
    "backbone": "vit_tiny_patch16_224",
    "split": 1,
    "backbone_args": {"embed_dim": 16, "depth": 2, "num_heads": 2},
}
CPU = TrainerSettings(accelerator="cpu", progress=False)


def training(folder: Path, **changed: object) -> TrainingSettings:
    """The settings of one epoch on eight images."""
    quick = {
        "mutant_predictions": MutantPredictions(PatchCURE(), 32, images=2),
        "checkpoint": Checkpoint(folder / "checkpoints", filename="best", monitor="val/certified_accuracy", mode="max"),
        "resume": Checkpoint(folder / "checkpoints", filename="last", save_on_train_epoch_end=True),
    }
    settings: dict[str, object] = {
        "dataset": DatasetSettings(limit=8),
        "model": ModelSettings("vit_srf", SMALL_VIT),
        "patch": 32,
        "recipe": RecipeSettings(epochs=1, batch_size=8),
        "callbacks": quick,
        "trainer": CPU,
        "run": RunSettings(folder),
    }
    return TrainingSettings(**{**settings, **changed})  # type: ignore[arg-type]  # by name
