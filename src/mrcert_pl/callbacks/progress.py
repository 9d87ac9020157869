"""A progress bar that counts images."""

import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from mrcert_pl.callbacks.mutant_predictions import MutantPredictions
from mrcert_pl.data import Sample


class ImageProgressBar(TQDMProgressBar):
    """Lightning's progress bar; a test counts the images of all devices, with images per second and time left.

    A validation with certificates counts the images that it certifies, then those whose loss it computes. The bar moves
    while the mutants of a batch are evaluated.

    Args:
        doing: Description of the bar during a test.
    """

    def __init__(self, doing: str = "Certifying") -> None:
        self._doing = doing
        # In a file every refresh is a new line.
        self._live = sys.stdout.isatty()
        self._finished = 0
        # Whether a validation has certified its images, and goes on with the others.
        self._certified = False
        super().__init__(refresh_rate=1 if self._live else 20)

    def init_test_tqdm(self) -> Tqdm:
        return self._counting(super().init_test_tqdm())

    def on_test_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.has_dataloader_changed(dataloader_idx):
            self._begin(self.test_progress_bar, _images(trainer, "test"), self._doing)
        if evaluator := getattr(pl_module, "evaluator", None):
            self._follow(self.test_progress_bar, evaluator, len(batch.label) * trainer.world_size)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._finish(self.test_progress_bar, len(batch.label) * trainer.world_size)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        certifying = _certifying(trainer)
        if certifying is None:
            super().on_validation_batch_start(trainer, pl_module, batch, batch_idx, dataloader_idx)
            return
        if self.has_dataloader_changed(dataloader_idx):
            total = min(certifying.images, _images(trainer, "val"))
            self._begin(self.val_progress_bar, total, "Certifying validation images")
            self._certified = False
        elif certifying.left <= 0 and not self._certified:
            self._certified, finished = True, self._finished
            self._begin(self.val_progress_bar, _images(trainer, "val"), "Validation")
            self._finished = finished
            self._move(self.val_progress_bar, finished)
        images = min(certifying.left, len(batch.label)) * trainer.world_size
        self._follow(self.val_progress_bar, certifying.evaluator, images)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if _certifying(trainer) is None:
            super().on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        else:
            self._finish(self.val_progress_bar, len(batch.label) * trainer.world_size)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """End the line of an unfinished bar, so that the message of the error begins a new one."""
        for bar in (self._train_progress_bar, self._val_progress_bar, self._test_progress_bar):
            if bar is not None:
                bar.close()

    def _counting(self, bar: Tqdm) -> Tqdm:
        bar.unit = " images"
        bar.mininterval = 0.1 if self._live else 10.0
        return bar

    def _begin(self, bar: Tqdm, total: int, description: str) -> None:
        self._finished = 0
        self._counting(bar).reset(total=total)
        bar.set_description(description)

    def _follow(self, bar: Tqdm, evaluator: Any, images: int) -> None:
        """Move the bar with the evaluated fraction of a batch of images."""
        evaluator.on_progress = lambda fraction: self._move(bar, self._finished + int(fraction * images))

    def _finish(self, bar: Tqdm, images: int) -> None:
        self._finished += images
        self._move(bar, self._finished)

    def _move(self, bar: Tqdm, position: int) -> None:
        bar.update(min(position, bar.total or 0) - bar.n)


def _images(trainer: L.Trainer, split: str) -> int:
    running: Any = trainer  # Lightning declares no data module
    return len(running.datamodule.split(split))


def _certifying(trainer: L.Trainer) -> MutantPredictions | None:
    """Return the callback that certifies validation images, if there is one."""
    callbacks: Any = trainer  # Lightning declares no callbacks
    return next((callback for callback in callbacks.callbacks if isinstance(callback, MutantPredictions)), None)
