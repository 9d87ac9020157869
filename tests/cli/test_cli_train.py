"""``mrcert train``: its settings and errors; whole trainings are in test_commands.py."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY

Command = Callable[..., None]

TRAIN = ["train", *TINY, "patch=32", "trainer=cpu", "dataset.limit=8", "recipe.batch_size=8", "trainer.max_epochs=1"]


class Payload:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("executed"),)


def test_the_help_lists_its_settings(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("train", "--help")
    output = capsys.readouterr().out
    for setting in ("recipe.batch_size", "stage", "ckpt_path", "seed=0", "trainer.max_epochs"):
        assert f"  {setting}" in output
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["recipe=defualt"],
            r"there is no recipe=defualt; did you mean default\? recipe is one of: authors, default, ",
        ),
        (["recipe.batch_size=0"], "batch_size must be a whole number of at least 1, got 0"),
        (["recipe.batchsize=8"], "did you mean recipe.batch_size"),
        (["patch=0"], "at least 1 px"),
        (["seed=one"], "seed"),
    ],
)
def test_bad_settings(refused: Callable[..., str], arguments: list[str], message: str) -> None:
    assert re.search(message, refused(*TRAIN, *arguments))
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize("setting", ["ckpt_path", "model.weights"])
def test_a_hostile_file_runs_nothing(refused: Callable[..., str], setting: str) -> None:
    torch.save({"state_dict": {}, "extra": Payload()}, "hostile.ckpt")
    assert "hostile.ckpt" in refused(*TRAIN, f"{setting}=hostile.ckpt")
    assert not Path("executed").exists()
    assert not Path("checkpoints").exists()


def test_the_payload_works(command: Command) -> None:
    """Otherwise the test above could not fail."""
    pickle.loads(pickle.dumps(Payload()))
    assert Path("executed").exists()
