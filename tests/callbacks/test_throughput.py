"""Rates against a clock that ticks by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from mrcert_pl.callbacks import Throughput


class Slow(L.LightningModule):
    """A batch takes two seconds, and what follows the last one a hundred."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.clock = clock
        self.evaluator = SimpleNamespace(labelled=0)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.clock[0] += 2
        return self.layer(batch.label[:, None].float()).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.clock[0] += 100

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.clock[0] += 2
        self.evaluator.labelled += 10 * len(batch.label)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("mrcert_pl.callbacks.throughput.time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


@pytest.fixture
def trainer(tmp_path: Path) -> L.Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    return L.Trainer(accelerator="cpu", max_epochs=2, default_root_dir=tmp_path, callbacks=[Throughput()], **quiet)


def batches(images: int) -> DataLoader[Any]:
    """Of four images, the last one of what is left."""
    return DataLoader(
        range(images), batch_size=4, collate_fn=lambda labels: SimpleNamespace(label=torch.tensor(labels))
    )


def test_a_test_counts_images_and_the_mutants_that_were_labelled(trainer: L.Trainer, clock: list[float]) -> None:
    (logged,) = trainer.test(Slow(clock), batches(9), verbose=False)
    assert logged["test/images_per_second"] == pytest.approx(9 / 6)
    assert logged["test/mutants_per_second"] == pytest.approx(90 / 6)


def test_training_is_timed_epoch_by_epoch_without_its_validation(trainer: L.Trainer, clock: list[float]) -> None:
    trainer.fit(Slow(clock), batches(8), batches(4))
    assert trainer.callback_metrics["train/images_per_second"] == pytest.approx(8 / 4)
