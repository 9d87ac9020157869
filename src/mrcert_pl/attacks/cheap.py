"""Patches that cost nothing: noise, a checkerboard, pictures of the data set."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcert_pl.attacks.ascent import on_grid
from mrcert_pl.attacks.base import PlacedAttack
from mrcert_pl.attacks.placement import Placement

_SQUARE_PX = 4


class CheapPatches(PlacedAttack):
    """Uniform noise, a black and white checkerboard, and whole pictures shrunk to the size of the patch.

    Args:
        exemplars: ``[picture, 3, height, width]`` in [0, 1], of any size.
        seed: of the noise, with the id of the image and the placement.
    """

    def __init__(self, exemplars: Tensor, seed: int = 0) -> None:
        self.exemplars = exemplars
        self.seed = seed

    def patched(
        self, model: Any, image: Tensor, label: int, placement: Placement, key: int
    ) -> Iterator[tuple[str, Tensor]]:
        size = (placement.height, placement.width)
        draws = np.random.default_rng([self.seed, key, *placement])
        noise = torch.from_numpy(draws.random((3, *size), dtype=np.float32))
        rows, columns = (torch.arange(n) // _SQUARE_PX for n in size)
        checker = ((rows[:, None] + columns) % 2).float().expand(3, -1, -1)
        contents = [("random", noise), ("checker", checker)]
        if len(self.exemplars):
            shrunk = F.interpolate(self.exemplars, size, mode="bilinear", antialias=True)
            contents += [("exemplar", content) for content in shrunk]
        for name, content in contents:
            attacked = image.clone()
            attacked[placement.pixels] = on_grid(content).to(image.device)
            yield name, attacked
