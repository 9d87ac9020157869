"""A progress bar that counts images."""

import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from mrcert_pl.data import Sample


class ImageProgressBar(TQDMProgressBar):
    """Lightning's progress bar; a test counts the images of all devices, with images per second and time left.

    Args:
        doing: Description of the bar during a test.
    """

    def __init__(self, doing: str = "Certifying") -> None:
        self._doing = doing
        # In a file every refresh is a new line.
        self._live = sys.stdout.isatty()
        super().__init__(refresh_rate=1 if self._live else 20)

    def init_test_tqdm(self) -> Tqdm:
        bar = super().init_test_tqdm()
        bar.unit = " images"
        bar.mininterval = 0.1 if self._live else 10.0
        return bar

    def on_test_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.has_dataloader_changed(dataloader_idx):
            running: Any = trainer  # Lightning declares no data module
            self.test_progress_bar.reset(total=len(running.datamodule.split("test")))
            self.test_progress_bar.set_description(self._doing)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        bar = self.test_progress_bar
        bar.update(min(len(batch.label) * trainer.world_size, (bar.total or 0) - bar.n))
