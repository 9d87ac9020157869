"""Draws of training are those of (seed, epoch, batch), resumed or not."""

import random
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from mrcert_pl.callbacks import BatchSeeds


class Drawing(L.LightningModule):
    """Collect one number of each generator in every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.draws: dict[tuple[int, int], tuple[float, ...]] = {}

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        draw = (random.random(), float(np.random.rand()), float(torch.rand(1)))
        self.draws[self.current_epoch, batch_idx] = draw
        return self.layer(torch.ones(1, 1)).sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trained(folder: Path, seed: int, epochs: int, resume: Path | None = None) -> tuple[Drawing, Path]:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"accelerator": "cpu", "default_root_dir": folder, "enable_checkpointing": False}
    trainer = L.Trainer(max_epochs=epochs, callbacks=[BatchSeeds(seed)], **quiet)
    module = Drawing()
    trainer.fit(module, DataLoader(range(3), batch_size=1), ckpt_path=resume)
    checkpoint = folder / f"{seed}-{epochs}.ckpt"
    trainer.save_checkpoint(checkpoint)
    return module, checkpoint


def test_every_batch_has_draws_of_its_own_and_a_resumed_run_the_same(tmp_path: Path) -> None:
    whole = trained(tmp_path, 4, epochs=2)[0].draws
    assert len(whole) == len(set(whole.values())) == 6
    first, checkpoint = trained(tmp_path, 4, epochs=1)
    torch.rand(7)
    rest = trained(tmp_path, 4, epochs=2, resume=checkpoint)[0].draws
    assert rest.keys() == {(1, 0), (1, 1), (1, 2)}
    assert first.draws | rest == whole


def test_another_seed_draws_other_numbers(tmp_path: Path) -> None:
    one, other = (trained(tmp_path, seed, epochs=1)[0].draws for seed in (4, 5))
    assert not set(one.values()) & set(other.values())
