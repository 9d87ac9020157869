"""Our models play the roles of the protocols."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor, nn

from mrcert_pl import Guard
from mrcert_pl.defenders import MaskingDefender, build, names
from mrcert_pl.geometry import Borders, PatchSpec, covering_masks, window_borders
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.protocols import (
    AblatableModel,
    AttackableModel,
    CountingModel,
    DenseModel,
    GridModel,
    TrainableModel,
)
from mrcert_pl.mutants import MutantEvaluator

_VIT = {"backbone": "vit_tiny_patch16_224", "backbone_args": {"embed_dim": 16, "depth": 2, "num_heads": 2}}
SMALL = {
    ViTSRF: {**_VIT, "split": 1},
    MaskedViT: _VIT,
    AblatedViT: _VIT,
    BlackBox: {"backbone": "resnet10t", "masks_per_axis": 2},
}


@pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.__name__)
def test_our_models_play_their_roles(kind: type) -> None:
    model = kind(num_classes=3, **SMALL[kind])
    roles = [DenseModel, AttackableModel, TrainableModel, CountingModel]
    assert all(isinstance(model, role) for role in roles)
    assert isinstance(model, GridModel) == (kind is not AblatedViT)
    assert isinstance(model, AblatableModel) == (kind is AblatedViT)


class Foreign(nn.Module):
    """The members of ``GridModel``, and no other: seven columns of 8 px, of which it sees the mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 7
        self.image_px = (8, 56)
        self.num_classes = 3
        self.config = {"colours": 3}
        self.head = nn.Linear(3, 3)

    def encode(self, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image window colour"]:
        return images.unflatten(3, (7, 8)).mean((2, 4)).transpose(1, 2)

    def classify_mutants(
        self,
        features: Float[Tensor, "image window colour"],
        image: Int[Tensor, " mutant"],
        hidden: Bool[Tensor, "mutant window"],
    ) -> Float[Tensor, "mutant class"]:
        return self.head(features[image].masked_fill(hidden[:, :, None], 0.0).amax(1))

    def mutant_tokens(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        return (~hidden).sum(1)

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image class"]:
        return self.head(self.encode(images).amax(1))

    @property
    def borders(self) -> Borders:
        return window_borders((1, 7), (8, 8))

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        return covering_masks((1, 7), (8, 8), patch, stride)

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        return "try another stride"


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield Foreign().eval()


def masking_defenders() -> dict[str, MaskingDefender]:
    made = {name: build(name) for name in names()}
    return {name: defender for name, defender in made.items() if isinstance(defender, MaskingDefender)}


@pytest.mark.parametrize("name", masking_defenders())
def test_a_foreign_model_goes_through_the_engine_every_masking_defender_and_the_guard(
    foreign: Foreign, name: str
) -> None:
    assert isinstance(foreign, GridModel)
    assert not isinstance(foreign, TrainableModel)
    defender = build(name)
    mutants: Any = defender.mutants(foreign, PatchSpec(1))
    images = torch.rand(4, 3, 8, 56)
    table = MutantEvaluator(foreign, mutants).evaluate(images, defender)
    expected = foreign(images).argmax(1)
    assert torch.equal(table.labels[:, 0].long(), expected)
    verdicts = defender.decide(table)
    assert len(verdicts) == 4
    guard = Guard(foreign, defender, PatchSpec(1))
    (verdict,) = guard([Image.new("RGB", (56, 8), (200, 30, 30))])
    assert verdict.name in guard.class_names
