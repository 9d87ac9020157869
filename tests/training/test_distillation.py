import math

import pytest
import torch
from torch import Tensor, nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import BlackBox, MaskedViT
from mrcert_pl.training import Distillation


class Brightness(nn.Module):
    """Two classes by the mean of an image."""

    def __init__(self, slope: float = 3.0, bias: float = 0.5) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)
        self.head.weight.data = torch.tensor([[slope], [-slope]])
        self.head.bias.data = torch.tensor([bias, 0.0])

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1).mean(1, keepdim=True))


IMAGES = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("weight", "temperature"), [(0.7, 2.0), (0.25, 1.0), (1.0, 4.0)])
def test_the_divergence_is_that_of_the_softened_classes(weight: float, temperature: float) -> None:
    model = Brightness()
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.5]])
    found = Distillation(model, weight, temperature)(torch.tensor(1.5), IMAGES, logits)
    expected = 0.0
    for taught, said in zip(model(IMAGES).tolist(), logits.tolist(), strict=True):
        p = [math.exp(value / temperature) for value in taught]
        q = [math.exp(value / temperature) for value in said]
        p, q = [value / sum(p) for value in p], [value / sum(q) for value in q]
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 3
    assert float(found) == pytest.approx((1 - weight) * 1.5 + weight * temperature**2 * expected, rel=1e-5)


def test_a_student_that_says_the_same_of_its_part_has_no_divergence() -> None:
    model = Brightness()
    distillation = Distillation(model, weight=1.0)
    assert float(distillation(torch.tensor(9.0), IMAGES, model(IMAGES).detach())) == pytest.approx(0.0, abs=1e-6)


def test_the_teacher_is_the_model_before_the_training() -> None:
    model = Brightness()
    distillation = Distillation(model, weight=1.0)
    before = model(IMAGES).detach()
    model.head.bias.data += torch.tensor([2.0, 0.0])
    assert float(distillation(torch.tensor(0.0), IMAGES, before)) == pytest.approx(0.0, abs=1e-6)
    loss = distillation(torch.tensor(0.0), IMAGES, model(IMAGES))
    loss.backward()
    assert model.head.weight.grad is not None
    assert float(loss.detach()) > 0.01


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_teacher_with_a_new_head_is_refused_whatever_its_weights_are(bias: float) -> None:
    model = Brightness(bias=bias)
    Distillation(model)
    model.new_head = True
    with pytest.raises(ConfigurationError, match=r"model\.head_rows=.*distillation=null"):
        Distillation(model)


@pytest.mark.parametrize(
    ("backbone", "arguments"),
    [
        ("vit_tiny_patch16_224", {"embed_dim": 16, "num_heads": 2}),
        ("eva02_tiny_patch14_224", {"embed_dim": 16, "num_heads": 2}),
        ("beit_base_patch16_224", {"embed_dim": 16, "num_heads": 2}),
        ("deit_tiny_distilled_patch16_224", {"embed_dim": 16, "num_heads": 2}),
        ("naflexvit_base_patch16_gap", {"embed_dim": 16, "num_heads": 2}),
    ],
)
def test_new_heads_of_every_family_are_refused(backbone: str, arguments: dict[str, int]) -> None:
    model = MaskedViT(backbone, num_classes=7, backbone_args={"depth": 1, **arguments})
    with pytest.raises(ConfigurationError, match="can classify these images before the training"):
        Distillation(model)
    model.load_state_dict(model.state_dict())
    Distillation(model)


def test_a_new_head_of_random_biases_is_refused() -> None:
    """timm starts the head of a ResNet with random biases, that of a ViT with zeros."""
    model = BlackBox("resnet10t", num_classes=7, patch=16, image_px=(64, 64))
    assert model.get_parameter("net.fc.bias").any()
    with pytest.raises(ConfigurationError, match="can classify these images before the training"):
        Distillation(model)


@pytest.mark.parametrize(
    ("weight", "temperature"), [(0.0, 2.0), (1.1, 2.0), (0.5, 0.0), (0.5, math.inf), (math.nan, 1.0), (0.5, math.nan)]
)
def test_numbers_out_of_range(weight: float, temperature: float) -> None:
    with pytest.raises(ConfigurationError, match="weight above 0 and at most 1 and a temperature above 0"):
        Distillation(Brightness(), weight, temperature)
