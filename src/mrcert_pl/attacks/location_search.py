"""An attack that chooses the place of its patch."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from mrcert_pl.attacks.base import AttackedImage
from mrcert_pl.attacks.gradient import GradientAttack, Start, worst
from mrcert_pl.attacks.placement import Placement, placement_grid
from mrcert_pl.errors import ConfigurationError


class LocationSearch(GradientAttack):
    """A short attack at every place of a coarse grid, then around the best ones, then a long one at the best of all.

    The distance of neighbouring places is halved down to ``fine_px``; at each distance the eight neighbours of the
    ``keep`` best places so far are tried. Then all ``starts``, of ``steps`` steps each, are spent on the best place.
    The iterate with the highest loss of all is kept.

    Args:
        coarse_px: distance of the places of the first grid.
        fine_px: smallest distance.
        coarse_steps: gradient steps at each place.
        keep: places around which is searched on.
        arguments: of :class:`~mrcert_pl.attacks.gradient.GradientAttack`.

    Raises:
        ConfigurationError: for numbers out of range.
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
        if not 1 <= fine_px <= coarse_px:
            raise ConfigurationError(f"fine_px must be from 1 to coarse_px={coarse_px}, not {fine_px}")
        if keep < 1 or coarse_steps < 0:
            raise ConfigurationError(f"keep must be at least 1 and coarse_steps 0, not {keep} and {coarse_steps}")
        self.coarse_px = coarse_px
        self.fine_px = fine_px
        self.coarse_steps = coarse_steps
        self.keep = keep

    def attack(self, model: Any, image: Tensor, label: int, key: int) -> AttackedImage:
        height, width = image.shape[1:]
        tried: dict[Placement, AttackedImage] = {}

        def explore(places: Iterable[Placement]) -> bool:
            """Try the new ones of some places; whether that is enough."""
            new = [place for place in dict.fromkeys(places) if place not in tried]
            starts = [self._start(key, 0, place) for place in new]
            found = self.climb(model, image, label, starts, self.coarse_steps)
            tried.update((attacked.placement, attacked) for attacked in found)
            return self.early_stop and worst([*tried.values()]).prediction != label

        step_px = self.coarse_px
        enough = explore(placement_grid(self.patch, (height, width), step_px))
        while step_px > self.fine_px and not enough:
            step_px = max(step_px // 2, self.fine_px)
            best = sorted(tried, key=lambda place: -tried[place].loss)[: self.keep]
            enough = explore(near for place in best for near in _around(place, step_px, (height, width)))
        found = [*tried.values()]
        if not enough:
            place = worst(found).placement
            starts = [self._start(key, number, place) for number in range(self.starts)]
            found += self.climb(model, image, label, starts, self.steps)
        return worst(found)

    def _start(self, key: int, number: int, placement: Placement) -> Start:
        return Start(number, placement, np.random.default_rng([self.seed, key, number, *placement]))


def _around(place: Placement, step_px: int, image_px: tuple[int, int]) -> list[Placement]:
    """The eight neighbours of a place, moved back inside the image where they leave it."""
    moves = (-step_px, 0, step_px)
    return [
        place._replace(
            top=min(max(place.top + down, 0), image_px[0] - place.height),
            left=min(max(place.left + right, 0), image_px[1] - place.width),
        )
        for down in moves
        for right in moves
    ]
