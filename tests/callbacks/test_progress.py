"""The progress bar of a test counts images."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from mrcert_pl.callbacks import ImageProgressBar


class Images(L.LightningDataModule):
    def split(self, name: str) -> range:
        assert name == "test"
        return range(9)

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            self.split("test"), batch_size=4, collate_fn=lambda labels: SimpleNamespace(label=torch.tensor(labels))
        )


class Counting(L.LightningModule):
    """Record the state of the bar after every batch."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        bar = self.trainer.progress_bar_callback.test_progress_bar
        self.seen = [*getattr(self, "seen", []), (bar.n, bar.total)]


@pytest.mark.parametrize("doing", ["Certifying", "Attacking"])
def test_the_bar_of_a_test_counts_images(doing: str, tmp_path: Path) -> None:
    progress, module = ImageProgressBar(doing), Counting()
    quiet: dict[str, Any] = {"logger": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[progress], **quiet)
    trainer.test(module, Images(), verbose=False)
    assert module.seen == [(0, 9), (4, 9), (8, 9)]
    bar = progress.test_progress_bar
    assert (bar.n, bar.total, bar.unit) == (9, 9, " images")
    assert bar.desc.startswith(doing)
