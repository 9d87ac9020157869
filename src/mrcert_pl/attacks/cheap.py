"""Patches that need no model: noise, a checkerboard, images of the data set."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mrcert_pl.attacks.ascent import on_grid
from mrcert_pl.attacks.base import PlacedAttack
from mrcert_pl.attacks.placement import Placement
from mrcert_pl.models.protocols import BaseModel

_SQUARE_PX = 4


class CheapPatches(PlacedAttack):
    """Uniform noise, a black and white checkerboard, and whole images shrunk to the size of the patch.

    Args:
        exemplars: Images of any size with values in [0, 1].
        seed: Seed of the noise, with the id of the image and the placement.
    """

    def __init__(self, exemplars: Float[Tensor, "exemplar 3 height width"], seed: int = 0) -> None:
        self.exemplars = exemplars
        self.seed = seed

    @property
    def number(self) -> int:
        """Number of patches at each placement."""
        return 2 + len(self.exemplars)

    def patched(
        self,
        model: BaseModel,
        image: Float[Tensor, "3 height width"],
        label: int,
        placement: Placement,
        image_id: int,
    ) -> Iterator[tuple[str, Float[Tensor, "3 height width"]]]:
        size = (placement.height, placement.width)
        draws = np.random.default_rng([self.seed, image_id, *placement])
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
