"""Throughput of a run."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from mrcert_pl.data import Sample


class Throughput(Callback):
    """Log images per second, and mutants per second of an evaluation, of all devices together.

    Training logs ``train/images_per_second`` of every epoch, without its validation; a test logs
    ``test/images_per_second`` and ``test/mutants_per_second``. Mutants read from the store are not counted.
    """

    def __init__(self) -> None:
        self._images = 0
        self._began = 0.0
        self._seconds = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Sample, batch_idx: int
    ) -> None:
        self._count(batch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._log(pl_module, "train/images_per_second", self._images)

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin()

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._count(batch)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._log(pl_module, "test/images_per_second", self._images)
        if evaluator := getattr(pl_module, "evaluator", None):
            self._log(pl_module, "test/mutants_per_second", evaluator.labelled)

    def _begin(self) -> None:
        self._images, self._began, self._seconds = 0, time.perf_counter(), 0.0

    def _count(self, batch: Sample) -> None:
        self._images += len(batch.label)
        self._seconds = time.perf_counter() - self._began

    def _log(self, pl_module: L.LightningModule, name: str, count: int) -> None:
        rate = count / self._seconds if self._seconds else 0.0
        pl_module.log(name, rate, on_epoch=True, sync_dist=True, reduce_fx="sum", batch_size=1)
