"""Operations counted from dimensions are those that torch counts while the model runs."""

import pytest
import torch
from noisy_srf import SMALL
from torch.utils.flop_counter import FlopCounterMode

from mrcert_pl.models import BlackBox, MaskedViT, ViTSRF

MODELS = {
    "deit": lambda: MaskedViT("deit_tiny_patch16_224", num_classes=5, backbone_args=SMALL),
    "registers": lambda: MaskedViT(
        "vit_small_patch14_reg4_dinov2", num_classes=5, backbone_args=SMALL | {"img_size": 56}
    ),
    "zero": lambda: ViTSRF("vit_tiny_patch16_224", num_classes=5, window=(4, 1), split=1, backbone_args=SMALL),
    "drop": lambda: ViTSRF(
        "vit_tiny_patch16_224", num_classes=5, window=(2, 2), split=2, hidden="drop", backbone_args=SMALL
    ),
    "black box": lambda: BlackBox("test_resnet", num_classes=5, patch=16, masks_per_axis=2, image_px=(64, 64)),
}


@pytest.mark.parametrize("name", MODELS)
def test_flops_are_those_that_torch_counts(name):
    model = MODELS[name]().eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            features = model.encode(torch.rand(1, 3, *model.image_px))
        assert counter.get_total_flops() == model.encode_flops()
        for hidden in (torch.arange(model.windows) < n for n in range(model.windows)):
            with FlopCounterMode(display=False) as counter:
                model.classify_mutants(features, torch.tensor([0]), hidden[None])
            assert counter.get_total_flops() == int(model.mutant_flops(hidden[None]))
