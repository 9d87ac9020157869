"""A kill or a full disk in the middle of a save leaves the earlier checkpoint."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch.utils.data import DataLoader, TensorDataset

from mrcert_pl import files
from mrcert_pl.callbacks import Checkpoint, WholeCheckpointIO
from mrcert_pl.errors import ResultsError


class Linear(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder: Path, epochs: int, resume: Path | None = None, plugin: TorchCheckpointIO | None = None) -> L.Trainer:
    checkpoint = Checkpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[checkpoint], plugins=plugin and [plugin], **quiet
    )
    trainer.fit(Linear(), DataLoader(TensorDataset(torch.rand(4, 2))), ckpt_path=resume)
    return trainer


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty:UserWarning")
def test_checkpoints_come_back_and_training_goes_on_from_them(tmp_path: Path) -> None:
    fit(tmp_path, epochs=2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert fit(tmp_path, epochs=3, resume=tmp_path / "last.ckpt").global_step == 12


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty:UserWarning")
def test_a_writer_that_was_chosen_stays(tmp_path: Path) -> None:
    class Mine(TorchCheckpointIO):
        pass

    assert type(fit(tmp_path, 1, plugin=Mine()).strategy.checkpoint_io) is Mine
    assert type(fit(tmp_path, 1).strategy.checkpoint_io) is WholeCheckpointIO


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def full(partial: Path, content: bytes) -> int:
        with partial.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device", str(partial))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResultsError, match=r"can't write .*last\.ckpt: No space left on device"):
        WholeCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def save_and_be_killed(path: Path) -> None:
    write = Path.write_bytes

    def killed(partial: Path, content: bytes) -> int:
        write(partial, bytes(content)[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    Path.write_bytes = killed  # type: ignore[assignment]
    WholeCheckpointIO().save_checkpoint({"epoch": 2}, path)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_a_kill_in_the_middle_of_a_save_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"epoch": 1}, path)
    saving = multiprocessing.get_context("fork").Process(target=save_and_be_killed, args=(path,))
    saving.start()
    saving.join()
    assert saving.exitcode == -signal.SIGKILL
    assert torch.load(path, weights_only=True) == {"epoch": 1}


def test_a_checkpoint_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    flush, replace = os.fsync, Path.replace
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: (order.append("flush"), flush(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda one, other: (order.append("rename"), replace(one, other))[1])
    WholeCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    assert order[:2] == ["flush", "rename"]


def test_the_earlier_checkpoint_stays_beside_the_last_one(tmp_path: Path) -> None:
    writer = WholeCheckpointIO()
    for epoch in (1, 2, 3):
        writer.save_checkpoint({"epoch": epoch}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt")["epoch"] == 3
    assert torch.load(tmp_path / "previous.ckpt")["epoch"] == 2
    writer.save_checkpoint({"epoch": 1}, tmp_path / "best.ckpt")
    writer.save_checkpoint({"epoch": 2}, tmp_path / "best.ckpt")
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "previous.ckpt", "best.ckpt"}
