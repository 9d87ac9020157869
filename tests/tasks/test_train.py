"""``mrcert_pl.train`` from Python."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_model import Grid
from small_tasks import CPU, training
from torch import nn

from mrcert_pl import DatasetSettings, ModelSettings, RecipeSettings, train
from mrcert_pl.callbacks.whole_checkpoints import Checkpoint, WholeCheckpointIO
from mrcert_pl.errors import CheckpointError, ConfigurationError, NumericalError, ResultsError
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.results import TrainingResult


def test_a_training_leaves_its_checkpoints_and_its_result(trained: TrainingResult) -> None:
    assert trained.checkpoint is not None
    folder = Path(trained.checkpoint).parents[1]
    assert {"training.json", "settings.json", "checkpoints"} <= {path.name for path in folder.iterdir()}
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert TrainingResult.read(folder / "training.json") == trained
    assert (trained.dataset, trained.model, trained.patch, trained.stage) == ("digits", "vit_srf", 32, "one")
    assert trained.monitor == "val/certified_accuracy"
    assert trained.published is None
    origin = read_checkpoint(trained.checkpoint).origin
    assert {name: origin[name] for name in ("name", "dataset", "patch", "stride", "resize")} == {
        "name": "vit_srf",
        "dataset": "digits",
        "patch": "32",
        "stride": 1,
        "resize": "whole",
    }
    assert origin["classes"] == list("0123456789")
    assert origin["start"] == "random"


def test_the_best_checkpoint_is_published_and_a_training_is_reproducible(
    trained: TrainingResult, tmp_path: Path
) -> None:
    again = train(training(tmp_path / "run", publish=tmp_path / "published/best.ckpt"))
    assert again.published == str(tmp_path / "published/best.ckpt")
    assert again.checkpoint is not None
    assert not again.replaced
    assert again.weights_sha256 == trained.weights_sha256
    assert (tmp_path / "published/best.ckpt").read_bytes() == Path(again.checkpoint).read_bytes()


def test_a_monitor_that_names_no_metric_is_an_error_of_the_settings(tmp_path: Path) -> None:
    best = Checkpoint(tmp_path / "checkpoints", monitor="val/certified")
    with pytest.raises(ConfigurationError, match="could not find the monitored key"):
        train(training(tmp_path / "run", callbacks={"checkpoint": best}))


def test_a_training_is_resumed_in_its_folder(tmp_path: Path) -> None:
    first = train(training(tmp_path / "run"))
    resumed = train(training(tmp_path / "run", recipe=RecipeSettings(epochs=2, batch_size=8), resume="last"))
    assert resumed.checkpoint is not None
    assert first.checkpoint == resumed.checkpoint
    assert torch.load(Path(resumed.checkpoint).with_name("last.ckpt"), weights_only=True)["epoch"] == 1
    with pytest.raises(CheckpointError, match=r"with other settings:\n  patch: 32 there, 16 here\n"):
        train(training(tmp_path / "run", patch=16, resume="last"))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"stage": "split"}, ConfigurationError, "needs the checkpoint of the first stage; give srf_checkpoint="),
        (
            {"stage": "split", "srf_checkpoint": Path("nowhere.ckpt"), "made_by": "train it"},
            CheckpointError,
            r"there is no checkpoint nowhere\.ckpt; make it with:  train it",
        ),
        ({"resume": "last"}, CheckpointError, "there is no training to resume"),
        ({"patch": 300}, ConfigurationError, "larger than the image"),
        ({"model": ModelSettings("vit")}, ConfigurationError, "unknown model 'vit'"),
        ({"model": ModelSettings("grid", {}, Grid)}, ConfigurationError, "model=grid can't be fine-tuned with masks"),
        ({"dataset": DatasetSettings("digit")}, ConfigurationError, "unknown data set 'digit'"),
        (
            {"recipe": RecipeSettings(batch_size=2, finetuning={"optimizer": {"opt": "sgd", "lr": 1e30}})},
            NumericalError,
            "the training loss became",
        ),
        ({"trainer": replace(CPU, accelerator="tpus")}, ConfigurationError, "Lightning refuses"),
    ],
)
def test_what_cannot_work(tmp_path: Path, changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train(training(tmp_path / "run", **changed))


def test_what_is_compiled_is_what_training_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[nn.Module] = Counter()
    monkeypatch.setattr(
        nn.Module, "compile", lambda module: module.register_forward_hook(lambda *_: calls.update([module]))
    )
    train(training(tmp_path / "run", compile=True))
    assert len(calls) == 2
    assert min(calls.values()) > 1


@pytest.mark.parametrize("lost", ["best.ckpt", "last.ckpt"])
def test_only_a_checkpoint_that_was_written_is_said_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    whole = WholeCheckpointIO.save_checkpoint

    def full(self: WholeCheckpointIO, checkpoint: dict[str, Any], path: str | Path, **options: Any) -> None:
        if Path(path).name == lost:
            raise ResultsError(f"can't write {path}: No space left on device")
        whole(self, checkpoint, path, **options)

    monkeypatch.setattr(WholeCheckpointIO, "save_checkpoint", full)
    with pytest.raises(ResultsError, match="No space left"):
        train(training(tmp_path / "run"))
    assert ("the best checkpoint so far is kept" in caplog.text) == (tmp_path / "run/checkpoints/best.ckpt").is_file()
    assert not (tmp_path / "run/checkpoints" / lost).exists()
