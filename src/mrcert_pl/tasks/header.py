"""Summary of a run, logged before it begins."""

from pathlib import Path

import lightning as L

from mrcert_pl.data import ImageDataModule
from mrcert_pl.mutants import MutantSet
from mrcert_pl.tasks.runtime import device_of, log


def announce_run(
    trainer: L.Trainer, data: ImageDataModule, split: str, model: str, mutants: MutantSet | None, folder: Path
) -> None:
    """Log data set, number of images, model, mutants, device, precision and folder, and what was decided for the user.

    Args:
        trainer: gives device and precision.
        data: images.
        split: ``train`` or ``test``.
        model: kind of the model.
        mutants: mutants of each image; ``None`` where they are not evaluated.
        folder: folder of the run.
    """
    if not trainer.is_global_zero:
        return
    images = len(data.split("train" if split == "train" else "test").records)
    about = [f"{data.description.name}: {images:,} {split} images", model]
    if mutants is not None:
        about.append(", ".join(f"{name} {value}" for name, value in mutants.summary().items()))
    log.info("%s\n%s, %s, in %s", "; ".join(about), device_of(trainer), trainer.precision, folder)
    for note in data.notes():
        log.info("%s", note)
