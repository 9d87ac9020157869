"""Operations counted from dimensions are those that torch counts while the model runs."""

from contextlib import contextmanager

import pytest
import torch
from noisy_srf import SMALL
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.flops import TableFlops

MODELS = {
    "deit": lambda: MaskedViT("deit_tiny_patch16_224", num_classes=5, backbone_args=SMALL),
    "registers": lambda: MaskedViT(
        "vit_small_patch14_reg4_dinov2", num_classes=5, backbone_args=SMALL | {"img_size": 56}
    ),
    "zero": lambda: ViTSRF("vit_tiny_patch16_224", num_classes=5, window=(4, 1), split=1, backbone_args=SMALL),
    "drop": lambda: ViTSRF(
        "vit_tiny_patch16_224", num_classes=5, window=(2, 2), split=2, hidden_tokens="drop", backbone_args=SMALL
    ),
    "black box": lambda: BlackBox("test_resnet", num_classes=5, patch=16, masks_per_axis=2, image_px=(64, 64)),
}


@contextmanager
def counting():
    """Torch's counter, with attention as plain matrix products: earlier versions overlook the fused one of CPUs."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


@pytest.mark.parametrize("name", MODELS)
def test_flops_are_those_that_torch_counts(name):
    model = MODELS[name]().eval()
    with torch.no_grad():
        with counting() as counter:
            features = model.encode(torch.rand(1, 3, *model.image_px))
        assert counter.get_total_flops() == model.encode_flops()
        for hidden in (torch.arange(model.windows) < n for n in range(model.windows)):
            with counting() as counter:
                model.classify_mutants(features, torch.tensor([0]), hidden[None])
            assert counter.get_total_flops() == int(model.mutant_flops(hidden[None]))


@pytest.mark.parametrize("mode", ["drop", "mask"])
def test_flops_of_votes(mode):
    model = AblatedViT("vit_tiny_patch16_224", num_classes=5, width=19, token_mode=mode, backbone_args=SMALL).eval()
    hidden = model.ablations(7).hidden
    flops = TableFlops(model, hidden)
    with torch.no_grad():
        features = model.encode(torch.rand(1, 3, *model.image_px))
        for mutant, expected in list(zip(hidden, flops.mutants.tolist(), strict=True))[:4]:
            with counting() as counter:
                model.classify_mutants(features, torch.tensor([0]), mutant[None])
            assert counter.get_total_flops() == expected
    assert (flops.encoding, len(flops.mutants)) == (0, len(hidden))


def test_an_image_costs_its_encoding_once_and_the_mutants_that_were_evaluated():
    model = MODELS["zero"]().eval()
    hidden = torch.eye(model.windows, dtype=torch.bool)[:3]
    one = [int(model.mutant_flops(row[None])) for row in hidden]
    evaluated = torch.tensor([[True, False, True], [False, True, False]])
    costs = TableFlops(model, hidden).per_image(evaluated)
    assert costs.tolist() == [model.encode_flops() + one[0] + one[2], model.encode_flops() + one[1]]


def test_a_model_that_does_not_count_has_no_cost():
    assert TableFlops.known(nn.Linear(1, 1), torch.zeros(1, 1, dtype=torch.bool)) is None


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
def test_a_black_box_is_counted_on_paper(backbone):
    """Whatever mode and device its weights are in, and without a trace in them."""
    arguments = {"num_classes": 5, "patch": 16, "masks_per_axis": 2, "image_px": (160, 160)}
    model = BlackBox(backbone, **arguments).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    hidden = torch.zeros(2, model.windows, dtype=torch.bool)
    counted = model.mutant_flops(hidden).tolist()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with torch.device("meta"):
        nowhere = BlackBox(backbone, **arguments)
    assert nowhere.mutant_flops(hidden).tolist() == counted
    with torch.no_grad(), counting() as counter:
        model.eval()(torch.rand(1, 3, 160, 160))
    assert counted == 2 * [counter.get_total_flops()]
