from pathlib import Path

import pytest
import torch
from noisy_srf import noisy_srf

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.checkpoints import Checkpoint, describe_model
from mrcert_pl.models.stages import restore_srf


def checkpoint_of(model: torch.nn.Module) -> Checkpoint:
    return Checkpoint(Path("srf_vanilla.ckpt"), describe_model(model), model.state_dict())


def test_the_first_half_is_theirs_and_the_second_ours() -> None:
    first, second = noisy_srf(split=1, seed=1), noisy_srf(split=1, seed=2)
    before = {name: value.clone() for name, value in second.state_dict().items()}
    restore_srf(second, checkpoint_of(first))
    images = torch.rand(1, 3, *second.image_px)
    assert torch.equal(second.encode(images), first.encode(images))
    for name, value in second.state_dict().items():
        if name.startswith(("blocks.1.", "blocks.2.", "fc_norm", "head")):
            assert torch.equal(value, before[name])


def test_another_split_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"(?s)split: 2 in the checkpoint, 1 in .*srf_checkpoint="):
        restore_srf(noisy_srf(split=1), checkpoint_of(noisy_srf(split=2)))
