"""The patch attack that certified defences are usually tried with (Levine and Feizi 2020)."""

from typing import Any

import numpy as np
from torch import Tensor

from mrcert_pl.attacks.base import AttackedImage
from mrcert_pl.attacks.gradient import GradientAttack, Start, worst
from mrcert_pl.attacks.placement import draw_placement


class PatchIFGSM(GradientAttack):
    """Many random patches, each improved by signed gradient steps; the iterate with the highest loss of all is kept.

    Each start has a place of its own, uniform over the image, which is not optimised, and a uniform content. Nothing is
    known of a defender.
    """

    name = "ifgsm"

    def attack(self, model: Any, image: Tensor, label: int, key: int) -> AttackedImage:
        height, width = image.shape[1:]
        starts = []
        for number in range(self.starts):
            draws = np.random.default_rng([self.seed, key, number])
            starts.append(Start(number, draw_placement(self.patch, (height, width), draws), draws))
        return worst(self.climb(model, image, label, starts, self.steps))
