"""A small model and settings of a run for the tasks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mrcert_pl import DatasetSettings, ModelSettings, RecipeSettings, RunSettings, TrainerSettings, TrainingSettings
from mrcert_pl import train as train_model
from mrcert_pl.callbacks import Checkpoint, MutantPredictions
from mrcert_pl.defenders import PatchCURE
from mrcert_pl.results import TrainingResult

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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training of one epoch."""
    return train_model(training(tmp_path_factory.mktemp("trainings") / "first"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunSettings]:
    """Makes the settings of a run in a folder of its own."""
    return lambda name="run", **settings: RunSettings(tmp_path / "runs" / name, **settings)
