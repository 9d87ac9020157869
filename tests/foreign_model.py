"""The least that a model of somebody else needs: a few members, none of our classes."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mrcert_pl.geometry import Borders, PatchSpec, covering_masks, window_borders


class MeanColours(nn.Module):
    """Logits from the mean colour of every visible window of 8 px on images of 32 px."""

    windows = 16
    image_px = (32, 32)
    config: ClassVar[dict[str, object]] = {}

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.head = nn.Linear(3 * self.windows, num_classes)

    def encode(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 8).flatten(2).mT

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: Tensor) -> Tensor:
        return self.head((features[image] * ~hidden[:, :, None]).flatten(1))

    def mutant_tokens(self, hidden: Tensor) -> Tensor:
        return (~hidden).sum(1)

    def forward(self, images: Tensor) -> Tensor:
        nothing = torch.zeros(len(images), self.windows, dtype=torch.bool, device=images.device)
        return self.classify_mutants(self.encode(images), torch.arange(len(images), device=images.device), nothing)


class Grid(MeanColours):
    """The same with its windows in rows and columns, which defenders that hide masks ask for."""

    @property
    def borders(self) -> Borders:
        return window_borders((4, 4), (8, 8))

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        return covering_masks((4, 4), (8, 8), patch, stride)

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        return "give a smaller patch"


class Columns(MeanColours):
    """Twenty-four columns of 8 px."""

    windows = 24
    image_px = (8, 192)

    @property
    def borders(self) -> Borders:
        return window_borders((1, 24), (8, 8))

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        return covering_masks((1, 24), (8, 8), patch, stride)

    def classify(self, features: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return self.classify_mutants(features, torch.arange(len(features)), hidden)

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        return "give a smaller patch"


def decisive_columns() -> Columns:
    """A model that is sure of some mutants and not of others."""
    torch.manual_seed(0)
    model = Columns().eval()
    with torch.no_grad():
        model.head.weight.mul_(3)
        model.head.bias[0] += 2.5
    return model
