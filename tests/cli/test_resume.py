"""A training that is killed goes on to where it would have ended."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import TINY

EPOCHS = 6
TRAIN = ["train", *TINY, "patch=32", "trainer=cpu", "dataset.limit=64"]
TRAIN += ["recipe.batch_size=8", "callbacks.mutant_predictions.images=2", f"trainer.max_epochs={EPOCHS}"]
# Images are loaded and augmented by another process, which has random numbers of its own.
TRAIN += ["dataset.workers=1", "+recipe.augmentation={scale: [0.5, 1.0], hflip: 0.5, re_prob: 0.25, re_mode: pixel}"]
TRAIN += ["trainer.check_val_every_n_epoch=2", "recipe.finetuning.mixup={mixup_alpha: 0.8, cutmix_alpha: 1.0}"]


def last_checkpoint(folder: Path) -> Path | None:
    return next(folder.rglob("last.ckpt"), None)


def epoch_of(folder: Path) -> int:
    """Epochs that the newest checkpoint holds, 0 before there is one."""
    file = last_checkpoint(folder)
    try:
        return torch.load(file, weights_only=True)["epoch"] + 1 if file else 0
    except (EOFError, RuntimeError):
        return 0


def train_silently(command: Callable[..., None], folder: Path) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.chdir(folder)
    command(*TRAIN)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_a_killed_training_resumes_to_the_same_weights(
    command: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    running = multiprocessing.get_context("fork").Process(target=train_silently, args=(command, killed))
    running.start()
    deadline = time.monotonic() + 120
    while epoch_of(killed) == 0 and running.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    running.join()
    done = epoch_of(killed)
    if done == EPOCHS:
        pytest.skip("the training was over before it could be killed")
    assert done > 0

    monkeypatch.chdir(whole)
    command(*TRAIN)
    monkeypatch.chdir(killed)
    command(*TRAIN, "ckpt_path=last")
    (run,) = (killed / "outputs/train/digits/vit_srf_p32").glob("*/checkpoints")
    straight, resumed = (
        torch.load(last_checkpoint(folder), weights_only=True)  # type: ignore[arg-type]
        for folder in (whole, killed)
    )
    assert resumed["epoch"] == straight["epoch"] == EPOCHS - 1
    assert resumed["global_step"] == straight["global_step"]
    for name, value in straight["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    logged = [file.read_text().strip().split("\n")[1:] for file in sorted(run.parent.glob("csv*/metrics.csv"))]
    assert len(logged) == 2
    assert {row.split(",")[0] for rows in logged for row in rows} == {str(epoch) for epoch in range(EPOCHS)}
    best = [torch.load(f / "checkpoints/digits/vit_srf_p32/best.ckpt", weights_only=True) for f in (whole, killed)]
    assert best[0]["epoch"] == best[1]["epoch"]
