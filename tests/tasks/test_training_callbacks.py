"""The callbacks of a training that names none."""

from pathlib import Path
from typing import Any

from small_tasks import training

from mrcert_pl.tasks.training_callbacks import default_callbacks


def testdefault_callbacks(tmp_path: Path) -> None:
    made = default_callbacks(training(tmp_path, callbacks=None))
    assert set(made) == {"mutant_predictions", "checkpoint", "resume", "seeds"}
    made = default_callbacks(training(tmp_path, callbacks=None, stage="srf_vanilla"))
    checkpoint: Any = made["checkpoint"]
    assert checkpoint.monitor == "val/unmasked_accuracy"
