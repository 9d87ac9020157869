"""Models from checkpoints alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.checkpoints import Checkpoint, describe_model
from mrcert_pl.models.rebuild import rebuild

MODEL = noisy_srf(hidden_tokens="drop", head_order="norm_pool")
CHECKPOINT = Checkpoint(Path("best.ckpt"), describe_model(MODEL), MODEL.state_dict())


def changed(**config: object) -> Checkpoint:
    return replace(CHECKPOINT, origin={**CHECKPOINT.origin, "config": {**MODEL.config, **config}})


def test_the_model_is_the_one_that_was_saved() -> None:
    """The other kinds are made again in the tests of the guard."""
    model = rebuild(CHECKPOINT)
    assert not model.training
    assert describe_model(model) == describe_model(MODEL)
    images, hidden = random_images(2), torch.tensor([[True, False, False, False]]).expand(2, -1)
    assert torch.equal(model(images, hidden), MODEL(images, hidden))


def test_what_this_version_does_not_know() -> None:
    strange = replace(CHECKPOINT, origin={**CHECKPOINT.origin, "model": "ViTXL"})
    with pytest.raises(CheckpointError, match=r"best.ckpt holds a ViTXL; this version knows AblatedViT, BlackBox, Mas"):
        rebuild(strange)
    with pytest.raises(CheckpointError, match=r"settings of ViTSRF that this version doesn't know .*colour"):
        rebuild(changed(colour="blue"))


def test_tensors_that_do_not_fit() -> None:
    with pytest.raises(CheckpointError, match="don't fit its own description"):
        rebuild(changed(num_classes=7))
