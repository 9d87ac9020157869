"""The progress bar of a test and of a validation with certificates counts images."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from mrcert_pl.callbacks import ImageProgressBar, MutantPredictions
from mrcert_pl.defenders import MRCert

QUIET: dict[str, Any] = {"logger": False, "enable_model_summary": False, "enable_checkpointing": False}


class Images(L.LightningDataModule):
    def split(self, name: str) -> range:
        return range({"test": 9, "val": 7}[name])

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            self.split("test"), batch_size=4, collate_fn=lambda labels: SimpleNamespace(label=torch.tensor(labels))
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            self.split("val"), batch_size=4, collate_fn=lambda labels: SimpleNamespace(label=torch.tensor(labels))
        )


class Counting(L.LightningModule):
    """Record the state of the bar after every batch."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        bar = self.trainer.progress_bar_callback.test_progress_bar
        self.seen = [*getattr(self, "seen", []), (bar.n, bar.total)]


@pytest.mark.parametrize("doing", ["Certifying", "Attacking"])
def test_the_bar_of_a_test_counts_images(doing: str, tmp_path: Path) -> None:
    progress, module = ImageProgressBar(doing), Counting()
    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[progress], **QUIET)
    trainer.test(module, Images(), verbose=False)
    assert module.seen == [(0, 9), (4, 9), (8, 9)]
    bar = progress.test_progress_bar
    assert (bar.n, bar.total, bar.unit) == (9, 9, " images")
    assert bar.desc.startswith(doing)


def test_the_bar_moves_within_a_batch(tmp_path: Path) -> None:
    class Evaluating(Counting):
        evaluator = SimpleNamespace(on_progress=None)

        def test_step(self, batch: Any, batch_idx: int) -> None:
            for fraction in (0.2, 0.5, 0.8, 0.3):
                self.evaluator.on_progress(fraction)
                super().test_step(batch, batch_idx)

    progress, module = ImageProgressBar(), Evaluating()
    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[progress], **QUIET)
    trainer.test(module, Images(), verbose=False)
    positions = [position for position, _ in module.seen]
    assert positions == [0, 2, 3, 1, 4, 6, 7, 5, 8, 8, 8, 8]
    assert progress.test_progress_bar.n == 9


class Certified(MutantPredictions):
    """Report progress in place of an evaluation."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.evaluator: Any = SimpleNamespace(on_progress=None)
        self.seen: list[tuple[int, int]] = []

    def on_validation_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        bar: Any = trainer.progress_bar_callback.val_progress_bar  # type: ignore[union-attr]
        self.evaluator.on_progress(0.5)
        self.seen.append((bar.n, bar.total))
        self.left -= 4

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None: ...


class Validating(L.LightningModule):
    def validation_step(self, batch: Any, batch_idx: int) -> None: ...


@pytest.mark.parametrize(("images", "seen"), [(64, [(2, 7), (5, 7)]), (5, [(2, 5), (4, 5)])])
def test_the_bar_of_a_validation_counts_certified_images(
    images: int, seen: list[tuple[int, int]], tmp_path: Path
) -> None:
    progress, certified = ImageProgressBar(), Certified(MRCert(patches=1), 32, images=images)
    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[certified, progress], **QUIET)
    trainer.validate(Validating(), Images(), verbose=False)
    assert certified.seen == seen
    bar = progress.val_progress_bar
    assert (bar.n, bar.total, bar.unit) == (seen[0][1], seen[0][1], " images")
    assert bar.desc.startswith("Certifying validation images")


def test_the_bar_goes_on_when_all_images_are_certified(tmp_path: Path) -> None:
    progress, certified = ImageProgressBar(), Certified(MRCert(patches=1), 32, images=3)
    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[certified, progress], **QUIET)
    for _ in range(2):
        trainer.validate(Validating(), Images(), verbose=False)
        assert certified.seen == [(1, 3), (4, 7)]
        bar = progress.val_progress_bar
        assert (bar.n, bar.total, bar.unit) == (7, 7, " images")
        assert bar.desc.startswith("Validation")


def test_the_bar_of_another_validation_counts_batches(tmp_path: Path) -> None:
    progress = ImageProgressBar()
    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[progress], **QUIET)
    trainer.validate(Validating(), Images(), verbose=False)
    assert (progress.val_progress_bar.n, progress.val_progress_bar.total) == (2, 2)


def test_an_error_begins_a_new_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Failing(Counting):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            raise ValueError("no image")

    trainer = L.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[ImageProgressBar()], **QUIET)
    with pytest.raises(ValueError, match="no image"):
        trainer.test(Failing(), Images(), verbose=False)
    printed = capfd.readouterr()
    assert (printed.out + printed.err).endswith("\n")
