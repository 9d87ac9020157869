"""Checkpoints say what they are: damage, forgery and odd types are refused."""

import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from noisy_srf import noisy_srf
from safetensors.torch import save_file

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models import integrity
from mrcert_pl.models.checkpoints import (
    Checkpoint,
    base_weights,
    describe_model,
    digest_of,
    read_checkpoint,
    restore,
    weights_digest,
    with_digest,
    write_weights,
)

MODEL = noisy_srf(split=1, backbone_args={"img_size": 64, "embed_dim": 16, "depth": 1, "num_heads": 2})
ORIGIN = describe_model(MODEL) | {"dataset": "digits", "classes": ["a", "b"], "patch": (16, 32), "seed": 0}


def saved(folder: Path, kind: str, origin: dict[str, Any] | None = None, **weights: torch.Tensor) -> Path:
    path = folder / f"model.{kind}"
    tensors = MODEL.state_dict() | weights
    if kind == "safetensors":
        write_weights(path, tensors, origin or ORIGIN)
    else:
        whole = {f"model.{name}": value for name, value in tensors.items()} | {"ema": torch.ones(1)}
        torch.save({"state_dict": whole, "mrcert": origin or with_digest(ORIGIN, base_weights(whole))}, path)
    return path


@pytest.fixture(params=["ckpt", "safetensors"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return saved(tmp_path, request.param)


def test_the_digest_stands_in_the_file_and_is_that_of_the_model(path: Path) -> None:
    checkpoint = read_checkpoint(path)
    assert checkpoint.origin["weights_sha256"] == weights_digest(MODEL) == digest_of(checkpoint.weights)
    other = noisy_srf(seed=1, split=1, backbone_args=MODEL.config["backbone_args"])
    restore(other, checkpoint)
    assert weights_digest(other) == weights_digest(MODEL)


def test_flipped_bits_are_found_or_harmless(path: Path) -> None:
    original, draws, refused = path.read_bytes(), random.Random(0), 0
    expected = read_checkpoint(path)
    for _ in range(100):
        damaged, bit = bytearray(original), draws.randrange(8 * len(original))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path)
        except CheckpointError:
            refused += 1
        else:
            assert digest_of(found.weights) == digest_of(expected.weights)
            assert json.dumps(found.origin) == json.dumps(expected.origin)
    assert refused > 50


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_a_description_is_found(tmp_path: Path, bit: int) -> None:
    path = saved(tmp_path, "safetensors")
    original = path.read_bytes()
    start = original.index(b"mrcert")
    for position in range(start, original.index(b"weights_sha256"), 3):
        damaged = bytearray(original)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_the_half_precision_of_convert_has_a_digest_of_its_own(tmp_path: Path) -> None:
    origin = with_digest(ORIGIN, MODEL.state_dict())
    write_weights(tmp_path / "half.safetensors", MODEL.state_dict(), origin, half=True)
    half = read_checkpoint(tmp_path / "half.safetensors")
    assert half.origin["weights_sha256"] != origin["weights_sha256"]
    restore(noisy_srf(split=1, backbone_args=MODEL.config["backbone_args"]), half)


def test_changed_weights_and_descriptions_are_found(tmp_path: Path) -> None:
    origin = with_digest(ORIGIN, MODEL.state_dict())
    with pytest.raises(CheckpointError, match=r"model\.ckpt is damaged: its weights differ from their digest"):
        read_checkpoint(saved(tmp_path, "ckpt", origin, mean=torch.zeros(1, 3, 1, 1)))
    for forged in ({"patch": 16}, {"classes": ["b", "a"]}, {"config": {**ORIGIN["config"], "head_order": "norm_pool"}}):
        with pytest.raises(CheckpointError, match="its description differs from the digest of the description"):
            read_checkpoint(saved(tmp_path, "ckpt", {**origin, **forged}))


def test_a_file_without_a_digest_is_read_with_one_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path, "ckpt", ORIGIN)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert digest_of(read_checkpoint(path).weights) == weights_digest(MODEL)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} has no digest of its weights, so damage can't be detected; mrcert convert writes a file with one"
    ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64, torch.int8, torch.float8_e4m3fn], ids=str)
def test_odd_types_are_refused_instead_of_cast(tmp_path: Path, dtype: torch.dtype) -> None:
    path = saved(tmp_path, "ckpt", mean=torch.zeros(1, 3, 1, 1).to(dtype))
    with pytest.raises(CheckpointError, match=f"has mean in {dtype}; weights must be float32, float16 or bfloat16"):
        read_checkpoint(path)


def test_integers_in_place_of_weights_are_refused() -> None:
    weights = MODEL.state_dict() | {"mean": torch.zeros(1, 3, 1, 1, dtype=torch.int64)}
    with pytest.raises(CheckpointError, match=r"has mean in torch\.int64, and the model has it in torch\.float32"):
        restore(MODEL, Checkpoint(Path("a.ckpt"), ORIGIN, weights))


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants:UserWarning")
def test_entries_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    whole = {"model.mean": 3, "model.sparse": torch.zeros(2).to_sparse()}
    for name in whole:
        torch.save({"state_dict": {name: whole[name]}, "mrcert": ORIGIN}, tmp_path / "a.ckpt")
        with pytest.raises(CheckpointError, match="is not a dense tensor with a name"):
            read_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    "origin",
    [
        {"classes": "ab"},
        {"dataset": ["digits"]},
        {"patch": {"size": 3}},
        {"patches": "2"},
        {"stride": None},
        {"seed": 1.5},
        {"weights_sha256": 3},
        {"note": torch.zeros(1)},
        {"note": {3: 4}},
        {"model": ["ViTSRF"]},
    ],
    ids=str,
)
def test_descriptions_of_other_types_are_refused(tmp_path: Path, origin: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="is malformed: "):
        read_checkpoint(saved(tmp_path, "ckpt", {**ORIGIN, **origin}))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=10), parts, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(origin=PLAIN | st.dictionaries(st.sampled_from([*integrity._TYPES, "format"]), PLAIN).map(lambda x: ORIGIN | x))
def test_any_metadata_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, origin: Any) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.safetensors"
    save_file(MODEL.state_dict(), path, metadata={"mrcert": json.dumps(origin)})
    try:
        found = read_checkpoint(path)
    except CheckpointError:
        return
    assert isinstance(found.origin["model"], str)
    assert isinstance(found.origin["config"], dict)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "1" * 10_000], ids=["open", "deep", "long"])
def test_metadata_that_is_no_json(tmp_path: Path, text: str) -> None:
    save_file(MODEL.state_dict(), tmp_path / "a.safetensors", metadata={"mrcert": text})
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "a.safetensors")
