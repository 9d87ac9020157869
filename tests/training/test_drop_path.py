import pytest
import torch

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import ViTSRF
from mrcert_pl.training.drop_path import set_drop_path


def test_rates_rise_over_the_true_depth_and_leave_no_trace(tiny_vit: ViTSRF) -> None:
    images, keys = torch.rand(2, 3, 224, 224), list(tiny_vit.state_dict())
    before = tiny_vit(images)
    set_drop_path(tiny_vit.blocks, 0.5)
    assert [getattr(block.drop_path1, "drop_prob", 0.0) for block in tiny_vit.blocks] == [0.0, 0.5]
    assert list(tiny_vit.state_dict()) == keys
    assert torch.equal(tiny_vit(images), before)
    trained = torch.stack([tiny_vit.train()(images) for _ in range(8)])
    assert trained.std(0).max() > 0


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_bad_rates(tiny_vit: ViTSRF, rate: float) -> None:
    with pytest.raises(ConfigurationError, match="drop path rate"):
        set_drop_path(tiny_vit.blocks, rate)
