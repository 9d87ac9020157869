"""Placements of a patch: drawn at random, or on a grid."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec


class Placement(NamedTuple):
    """A rectangle of pixels inside an image: its top left pixel and its size in px."""

    top: int
    left: int
    height: int
    width: int

    @property
    def pixels(self) -> tuple[slice, slice, slice]:
        """Index of its pixels in an image ``[channel, height, width]``."""
        return slice(None), slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def mask(self, image_px: Sequence[int]) -> Bool[Tensor, "1 height width"]:
        """Return true at its pixels, for an image of ``(height, width)`` px."""
        mask = torch.zeros(1, *image_px, dtype=torch.bool)
        mask[self.pixels] = True
        return mask


def draw_placement(patch: PatchSpec, image_px: tuple[int, int], draws: np.random.Generator) -> Placement:
    """Draw one of the patch's shapes and its location inside the image, both uniform.

    Raises:
        ConfigurationError: For a patch larger than the image.
    """
    shapes = patch.shapes_px(image_px)
    shape = shapes[draws.integers(len(shapes))]
    top, left = (int(draws.integers(n - p + 1)) for n, p in zip(image_px, shape, strict=True))
    return Placement(top, left, *shape)


def placement_grid(patch: PatchSpec, image_px: tuple[int, int], step_px: int) -> list[Placement]:
    """List every ``step_px``-th placement along both axes, the last ones flush with the border, for each shape.

    Raises:
        ConfigurationError: For a step below 1 px, or a patch larger than the image.
    """
    if step_px < 1:
        raise ConfigurationError(f"the step of a grid of placements must be at least 1 px, got {step_px}")
    grid = []
    for shape in patch.shapes_px(image_px):
        tops, lefts = (sorted({*range(0, n - p, step_px), n - p}) for n, p in zip(image_px, shape, strict=True))
        grid += [Placement(top, left, *shape) for top, left in product(tops, lefts)]
    return grid
