"""A patch attack that optimises the location."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mrcert_pl.attacks.ascent import check_whole
from mrcert_pl.attacks.base import AttackedImage
from mrcert_pl.attacks.gradient import GradientAttack, Start, worst
from mrcert_pl.attacks.placement import Placement, placement_grid
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.protocols import BaseModel


class LocationSearch(GradientAttack):
    """A short attack at every placement of a coarse grid, then around the best ones, then a long one at the best.

    The stride is halved down to ``fine_px``; at each stride the eight neighbours of the ``keep`` best placements are
    tried. Then all ``starts``, of ``steps`` steps each, attack at the best placement. The iterate with the highest loss
    of all is kept.

    Args:
        coarse_px: Stride of the first grid in px.
        fine_px: Smallest stride in px.
        coarse_steps: Gradient steps at each placement.
        keep: Number of placements that are refined.
        arguments: Arguments of :class:`~mrcert_pl.attacks.gradient.GradientAttack`.
        settings: Keyword arguments of the same.

    Raises:
        ConfigurationError: For numbers out of range.
    """

    name = "location"

    def __init__(
        self,
        *arguments: Any,
        coarse_px: int = 32,
        fine_px: int = 4,
        coarse_steps: int = 10,
        keep: int = 3,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        for name, value, least in (
            *(("coarse_px", coarse_px, 1), ("fine_px", fine_px, 1)),
            *(("coarse_steps", coarse_steps, 0), ("keep", keep, 1)),
        ):
            check_whole(f"attack.{name}", value, least)
        if fine_px > coarse_px:
            raise ConfigurationError(f"attack.fine_px must be from 1 to coarse_px={coarse_px}, got {fine_px}")
        self.coarse_px = coarse_px
        self.fine_px = fine_px
        self.coarse_steps = coarse_steps
        self.keep = keep

    def attack(
        self, model: BaseModel, image: Float[Tensor, "3 height width"], label: int, image_id: int
    ) -> AttackedImage:
        height, width = image.shape[1:]
        tried: dict[Placement, AttackedImage] = {}

        def explore(placements: Iterable[Placement]) -> bool:
            """Try the new ones of some placements; return whether the attack may stop."""
            new = [placement for placement in dict.fromkeys(placements) if placement not in tried]
            starts = [self._start(image_id, 0, placement) for placement in new]
            found = self.climb(model, image, label, starts, self.coarse_steps, [*tried.values()])
            tried.update((attacked.placement, attacked) for attacked in found)
            return self.may_stop([*tried.values()], label)

        step_px = self.coarse_px
        enough = explore(placement_grid(self.patch, (height, width), step_px))
        while step_px > self.fine_px and not enough:
            step_px = max(step_px // 2, self.fine_px)
            best = sorted(tried, key=lambda placement: -tried[placement].loss)[: self.keep]
            enough = explore(near for placement in best for near in _around(placement, step_px, (height, width)))
        found = [*tried.values()]
        if not enough:
            placement = worst(found).placement
            starts = [self._start(image_id, number, placement) for number in range(self.starts)]
            found += self.climb(model, image, label, starts, self.steps, found)
        return worst(found)

    def gradient_steps(self, image_px: tuple[int, int]) -> int:
        strides = [self.coarse_px]
        while strides[-1] > self.fine_px:
            strides.append(max(strides[-1] // 2, self.fine_px))
        tried = len(placement_grid(self.patch, image_px, self.coarse_px)) + 8 * self.keep * (len(strides) - 1)
        return tried * self.coarse_steps + super().gradient_steps(image_px)

    def _start(self, image_id: int, number: int, placement: Placement) -> Start:
        return Start(number, placement, np.random.default_rng([self.seed, image_id, number, *placement]))


def _around(placement: Placement, step_px: int, image_px: tuple[int, int]) -> list[Placement]:
    """List a placement and its eight neighbours, moved back inside the image where they leave it."""
    moves = (-step_px, 0, step_px)
    return [
        placement._replace(
            top=min(max(placement.top + down, 0), image_px[0] - placement.height),
            left=min(max(placement.left + right, 0), image_px[1] - placement.width),
        )
        for down in moves
        for right in moves
    ]
