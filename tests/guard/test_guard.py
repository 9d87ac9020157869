"""Guards from checkpoints alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import PATCH, comparable, images_for, kinds, save

import mrcert_pl
from mrcert_pl import Guard
from mrcert_pl.errors import CheckpointError, ConfigurationError

KINDS = kinds()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(KINDS["masked_vit"], tmp_path / "best.ckpt")


@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_is_all_that_it_takes(name: str, ending: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    defender = kind.defenders[0]
    guard = Guard.from_checkpoint(save(kind, tmp_path / f"best.{ending}"), defender.name)
    images = images_for(kind.model)
    expected = Guard(kind.model, defender, PATCH)(images)
    assert [comparable(v) for v in guard(images)] == [
        comparable(v) | {"name": f"class {v.label}", "base_name": f"class {v.base_label}"} for v in expected
    ]


def test_stride_and_resize_are_those_of_the_training(tmp_path: Path) -> None:
    def guard(name: str, **settings: Any) -> Guard:
        return Guard.from_checkpoint(tmp_path / name, "patchcure", **settings)

    def masks(guard: Guard) -> int:
        return guard.evaluator.mutants.summary()["masks"]

    save(KINDS["vit_srf"], tmp_path / "new.ckpt", stride=[1, 2], resize="crop")
    save(KINDS["vit_srf"], tmp_path / "old.ckpt")
    assert (masks(guard("new.ckpt")), guard("new.ckpt").preprocessing.resize) == (4, "crop")
    # Those of the data set, in whose name it was made.
    assert (masks(guard("old.ckpt")), guard("old.ckpt").preprocessing.resize) == (7, "whole")
    chosen = guard("new.ckpt", stride=1, resize="whole")
    assert (masks(chosen), chosen.preprocessing.resize) == (7, "whole")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"defender": "mrcrt"}, "unknown defender 'mrcrt'; choose one of: hicert, mrcert, mrcert_cascade"),
        ({"defender": "vot"}, "votes over ablations, and MaskedViT has none"),
        ({"patch": 60}, "can hide all 7 windows"),
        ({"class_names": ["a"]}, "the model has 5 classes, got 1 names"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"exif": "maybe"}, "unknown exif 'maybe'; choose one of: apply, ignore"),
        ({"device": "tpu"}, "there is no device 'tpu' here; choose one of: auto, cpu, cuda"),
        ({"resize": "stretch"}, "unknown resize 'stretch'"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], message: str, checkpoint: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Guard.from_checkpoint(checkpoint, **settings)


def test_checkpoints_that_do_not_say_enough(tmp_path: Path) -> None:
    kind = KINDS["vit_srf"]
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        Guard.from_checkpoint(tmp_path / "none.ckpt")
    nothing = save(kind, tmp_path / "nothing.ckpt", patch=None, classes=None, dataset=None)
    with pytest.raises(ConfigurationError, match="does not state the patch of its training: give patch="):
        Guard.from_checkpoint(nothing)
    guard = Guard.from_checkpoint(nothing, patch=1)
    assert (guard.class_names, guard.preprocessing.resize) == (("0", "1", "2", "3", "4"), "crop")
    assert Guard.from_checkpoint(nothing, patch=1, class_names=tuple("abcde")).class_names == tuple("abcde")


def test_importing_the_package_does_not_wait_for_torch(run_python: Callable[[str], str]) -> None:
    assert run_python("import sys, mrcert_pl; print('torch' in sys.modules, mrcert_pl.__version__)").startswith("False")
    assert mrcert_pl.Guard is Guard
    with pytest.raises(AttributeError, match="has no attribute 'Gard'"):
        mrcert_pl.Gard  # noqa: B018
