"""State dicts of untrusted files: read without running code, and compared with what a model needs."""

import argparse
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.state_dicts import check_fit, listed, read_state_dict, tensors_of, without_wrappers

ARGUMENTS = argparse.Namespace(lr=1e-3, model="vit", nested={"a": [1, 2]})


def foreign(seed=3):
    draw = torch.Generator().manual_seed(seed)
    return {f"blocks.{i}.weight": torch.randn(40, 30, generator=draw) for i in range(8)}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


@pytest.fixture
def write(tmp_path):
    def write(content, name="weights.pth", **arguments):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file(content, path)
        else:
            torch.save(content, path, **arguments)
        return path

    return write


@pytest.mark.parametrize("legacy", [False, True])
def test_old_and_new_files_of_torch(write, legacy):
    state = foreign()
    path = write({"model": state, "args": ARGUMENTS}, _use_new_zipfile_serialization=not legacy)
    assert_same(read_state_dict(path), state)


class Thing:
    def __init__(self):
        self.x = 1


def test_python_objects_are_refused_with_a_way_to_convert(write, tmp_path):
    state = foreign()
    path = write({"state_dict": state, "metric": np.float64(0.8), "thing": Thing()}, "best.pth.tar")
    with pytest.raises(CheckpointError, match=r"holds Python objects .*Unpickling those can run any code") as error:
        read_state_dict(path)
    first, second = str(error.value).splitlines()[1:]
    exec(f"{first.strip()}\n{second.strip()}", {})
    assert_same(read_state_dict(tmp_path / "best.tensors.pth"), state)


class Trap:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_not_run(write, tmp_path, legacy):
    arguments = argparse.Namespace(x=Trap(tmp_path / "sprung"))
    for content in ({"model": foreign(), "args": arguments}, Trap(tmp_path / "sprung")):
        with pytest.raises(CheckpointError, match=r"Python objects .* \(\w+\.mkdir\)"):
            read_state_dict(write(content, _use_new_zipfile_serialization=not legacy))
    assert not (tmp_path / "sprung").exists()
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused(write, name, share):
    path = write(foreign(), name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"weights.* can't be read as .* truncated"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"a line of text\n", b"G\n", b"<!DOCTYPE html>", bytes(range(256)), b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_other_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="can't be read as"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (torch.ones(3), "a Tensor"),
        ([1, 2], "a list"),
        ({}, "nothing"),
        ({"epoch": 3}, "the entries epoch"),
        ({"model": {"epoch": 3}}, "the entries epoch"),
    ],
    ids=str,
)
def test_files_without_weights_are_refused(write, content, found):
    with pytest.raises(CheckpointError, match=rf"weights\.pth holds no state dict: expected .*; found {found}$"):
        read_state_dict(write(content))


def test_a_state_dict_with_other_things_in_it_is_refused(write):
    with pytest.raises(CheckpointError, match=r"holds entries that are no tensors: epoch"):
        read_state_dict(write(foreign() | {"epoch": 3}))


def test_a_missing_file_is_an_error(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(CheckpointError, match=f"there is no weights file {path}; give the path of"):
            read_state_dict(path)


def test_averaged_weights_are_preferred():
    averaged, last = foreign(1), foreign(2)
    for content in (
        {"state_dict": last, "state_dict_ema": averaged},
        {"model": last, "model_ema": averaged},
        {"model_ema": None, "model": averaged},
    ):
        assert_same(tensors_of(content, "w"), averaged)


def test_prefixes_of_wrappers_are_removed_at_the_start_alone():
    names = ["module.a", "_orig_mod.module.a.b", "module.module.c", "d.module.e", "modules.f"]
    assert list(without_wrappers(dict.fromkeys(names, torch.ones(1)))) == ["a", "a.b", "c", "d.module.e", "modules.f"]


def test_of_our_checkpoints_the_model_alone_is_taken():
    content = {"mrcert": {}, "state_dict": {"model.a": torch.ones(1), "loss.b": torch.ones(1)}}
    assert list(tensors_of(content, "w")) == ["a"]


def test_weights_that_fit_pass_and_others_are_listed():
    needed = foreign()
    check_fit(needed, needed, "w.pth", "the model")
    wrong = {name: value for name, value in needed.items() if name != "blocks.0.weight"}
    wrong |= {"extra": torch.ones(1), "blocks.1.weight": torch.ones(2, 3)}
    with pytest.raises(CheckpointError) as error:
        check_fit(wrong, needed, "w.pth", "the model")
    assert str(error.value).splitlines() == [
        "w.pth doesn't fit the model:",
        "  1 missing: blocks.0.weight",
        "  1 unexpected: extra",
        "  1 of another shape: blocks.1.weight [2, 3] instead of [40, 30]",
        "name the backbone (and its arguments) that these weights were made for, or give other weights",
    ]


def test_at_most_ten_names_are_listed():
    assert listed("abcdefghij") == "a, b, c, d, e, f, g, h, i, j"
    assert listed("abcdefghijkl") == "a, b, c, d, e, f, g, h, i, j, and 2 more"
