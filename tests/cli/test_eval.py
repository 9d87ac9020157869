"""``mrcert eval`` on files from elsewhere: one error, and nothing of them is run."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_checkpoint import CHECKPOINT
from tiny import TINY

Command = Callable[..., None]

EVAL = ["eval", *TINY, "patch=32", "trainer=cpu", "dataset.limit=1"]


class Payload:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("executed"),)


def test_the_payload_works(command: Command) -> None:
    """Otherwise the tests below could not fail."""
    pickle.loads(pickle.dumps(Payload()))
    assert Path("executed").exists()


def test_the_help_lists_its_settings(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("eval", "--help")
    output = capsys.readouterr().out
    for setting in ("checkpoint", "store", "table", "evaluate=null", "refine=null", "refine_limit=400", "examples"):
        assert f"  {setting}" in output
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("inside", ["alone", "state_dict", "mrcert"])
def test_a_hostile_checkpoint_runs_nothing(untrained: Command, refused: Callable[..., str], inside: str) -> None:
    content: Any = torch.load(CHECKPOINT, weights_only=True)
    if inside == "alone":
        content = Payload()
    else:
        content[inside]["extra"] = Payload()
    torch.save(content, "hostile.ckpt")
    message = refused(*EVAL, "checkpoint=hostile.ckpt")
    assert "hostile.ckpt can't be read as a checkpoint" in message
    assert "which are never unpickled" in message
    assert not Path("executed").exists()
    assert list(Path().rglob("results.json")) == []


def test_a_pickle_named_safetensors_is_not_unpickled(refused: Callable[..., str]) -> None:
    Path("hostile.safetensors").write_bytes(pickle.dumps(Payload()))
    assert "hostile.safetensors can't be read as safetensors" in refused(*EVAL, "checkpoint=hostile.safetensors")
    assert not Path("executed").exists()


HEADER: dict[str, Any] = {
    "format": 1,
    "dataset": "digits",
    "classes": [str(label) for label in range(10)],
    "images": [1],
    "quantize": True,
    "attack": {"name": "patch_ifgsm", "patch": 32},
    "model": {"format": 1, "model": "ViTSRF", "config": {"backbone": "vit_tiny_patch16_224"}},
    "weights_sha256": "0f" * 32,
    "precision": "32-true",
    "device": "cpu",
    "made_from": {
        "model": {"name": "vit_srf", "_target_": "mrcert_pl.models.ViTSRF", "backbone": "vit_tiny_patch16_224"},
        "patch": 32,
        "checkpoint": str(CHECKPOINT),
        "dataset": {"root": None, "resize": "whole"},
    },
}


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (("made_from", "model", "_target_"), "os.system"),
        (("made_from", "model", "_target_"), {"_target_": "os.system", "command": "touch executed"}),
        (("dataset",), "../../etc"),
        (("images",), [1, 10**30]),
        (("images",), "all"),
        (("attack",), ["touch executed"]),
    ],
)
def test_a_hostile_attacked_set_runs_nothing(
    untrained: Command, refused: Callable[..., str], names: tuple[str, ...], value: object
) -> None:
    header = json.loads(json.dumps(HEADER))
    node = header
    for name in names[:-1]:
        node = node[name]
    node[names[-1]] = value
    Path("set").mkdir()
    Path("set/attack.json").write_text(json.dumps(header))
    assert "set/attack.json" in refused("eval", "dataset=attacked", "dataset.path=set", "trainer=cpu")
    assert not Path("executed").exists()
    assert list(Path().rglob("results.json")) == []


def test_a_hostile_file_of_an_attacked_set_is_named(untrained: Command, refused: Callable[..., str]) -> None:
    Path("set").mkdir()
    Path("set/attack.json").write_text(json.dumps(HEADER))
    Path("set/1.png").write_bytes(pickle.dumps(Payload()))
    assert "1.png" in refused("eval", "dataset=attacked", "dataset.path=set", "trainer=cpu")
    assert not Path("executed").exists()


def test_hostile_tables_run_nothing(untrained: Command, refused: Callable[..., str]) -> None:
    Path("tables").mkdir()
    for name in ("0.parquet", "header.json"):
        (Path("tables") / name).write_bytes(pickle.dumps(Payload()))
    assert "tables" in refused(*EVAL, "table=tables")
    assert not Path("executed").exists()


def test_a_path_of_an_attacked_set_is_not_interpolated(untrained: Command, refused: Callable[..., str]) -> None:
    made_from = HEADER["made_from"] | {"checkpoint": "${oc.env:HOME}"}
    Path("set").mkdir()
    Path("set/attack.json").write_text(json.dumps(HEADER | {"made_from": made_from}))
    message = refused("eval", "dataset=attacked", "dataset.path=set", "trainer=cpu")
    assert "names the checkpoint '${oc.env:HOME}'" in message
    assert "is not read" in message
