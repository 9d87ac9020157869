"""Which checkpoint and which store a run continues."""

import os
from pathlib import Path

import pytest
import torch

from mrcert_pl.callbacks.whole_checkpoints import PREVIOUS
from mrcert_pl.errors import CheckpointError, ResultsError
from mrcert_pl.tasks.resume import checkpoint_to_resume, own_checkpoint, record_settings, run_of, store_folder

IDENTITY = {"patch": 16, "stride": (1, 2), "seed": 0}


def save(checkpoint: Path) -> None:
    """A checkpoint of no weights."""
    torch.save({"state_dict": {}, "mrcert": {"format": 1, "model": "Model", "config": {}}}, checkpoint)


def finished(folder: Path, age: int, **changed: object) -> Path:
    """A run that has finished an epoch some seconds ago."""
    checkpoint = folder / "checkpoints/last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    save(checkpoint)
    os.utime(checkpoint, (1e9 - age, 1e9 - age))
    record_settings(folder, {**IDENTITY, **changed})
    return checkpoint


def test_nothing_is_resumed_without_being_asked(tmp_path: Path) -> None:
    finished(tmp_path / "a", 1)
    assert checkpoint_to_resume(None, IDENTITY, tmp_path / "new") is None


def test_the_newest_run_with_these_settings_is_resumed(tmp_path: Path) -> None:
    finished(tmp_path / "old", 3)
    wanted = finished(tmp_path / "newer", 2)
    finished(tmp_path / "newest", 1, patch=32)
    assert checkpoint_to_resume("last", IDENTITY, tmp_path / "new") == wanted
    assert run_of(wanted) == tmp_path / "newer"


def test_a_requeued_run_has_its_own_checkpoint_after_the_first_epoch(tmp_path: Path) -> None:
    assert own_checkpoint(tmp_path / "a") is None
    wanted = finished(tmp_path / "a", 1)
    assert own_checkpoint(tmp_path / "a") == str(wanted)


def test_settings_that_differ_are_listed(tmp_path: Path) -> None:
    checkpoint = finished(tmp_path / "a", 1, patch=32, seed=5)
    for resume in ("last", str(checkpoint)):
        with pytest.raises(CheckpointError, match=r"  patch: 32 there, 16 here\n  seed: 5 there, 0 here\n"):
            checkpoint_to_resume(resume, IDENTITY, tmp_path / "new")


def test_a_checkpoint_that_was_copied_elsewhere_is_taken(tmp_path: Path) -> None:
    copied = tmp_path / "best.ckpt"
    save(copied)
    assert checkpoint_to_resume(str(copied), IDENTITY, tmp_path / "new") == copied
    assert run_of(copied) is None


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(tmp_path: Path) -> None:
    damaged = finished(tmp_path / "a", 1)
    before = damaged.with_name(PREVIOUS)
    save(before)
    damaged.write_bytes(b"damaged")
    for file in (damaged, before):
        os.utime(file, (1e9, 1e9))
    assert checkpoint_to_resume("last", IDENTITY, tmp_path / "new") == before
    before.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="truncated, damaged"):
        checkpoint_to_resume("last", IDENTITY, tmp_path / "new")


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_settings_that_cannot_be_read_are_no_reason_to_resume(tmp_path: Path, content: str) -> None:
    checkpoint = finished(tmp_path / "a", 1)
    (tmp_path / "a/settings.json").write_text(content, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"its settings in .*settings\.json cannot be read"):
        checkpoint_to_resume(str(checkpoint), IDENTITY, tmp_path / "new")


def test_without_a_run_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no training to resume in"):
        checkpoint_to_resume("last", IDENTITY, tmp_path / "new")
    with pytest.raises(CheckpointError, match=r"no checkpoint nowhere\.ckpt to resume; ckpt_path=last"):
        checkpoint_to_resume("nowhere.ckpt", IDENTITY, tmp_path / "new")


def test_stores(tmp_path: Path) -> None:
    run = tmp_path / "new"
    assert store_folder(None, run) == run / "mutants"
    assert store_folder(None, run, "attacked") == run / "attacked"
    assert store_folder("tables", run) == Path("tables")
    with pytest.raises(ResultsError, match="there is no earlier run to resume in"):
        store_folder("last", run)
