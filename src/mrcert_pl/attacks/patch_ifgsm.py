"""Patch IFGSM, the attack that certified defenses are usually evaluated with (Levine and Feizi 2020)."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mrcert_pl.attacks.base import AttackedImage
from mrcert_pl.attacks.gradient import GradientAttack, Start, worst
from mrcert_pl.attacks.placement import draw_placement
from mrcert_pl.models.protocols import BaseModel


class PatchIFGSM(GradientAttack):
    """Random starts at random locations, each improved by signed gradient steps; the highest loss of all is kept.

    The location of a start is uniform over the image and is not optimised. The attack does not use the defender.
    """

    name = "ifgsm"

    def attack(
        self, model: BaseModel, image: Float[Tensor, "3 height width"], label: int, image_id: int
    ) -> AttackedImage:
        height, width = image.shape[1:]
        starts = []
        for number in range(self.starts):
            draws = np.random.default_rng([self.seed, image_id, number])
            starts.append(Start(number, draw_placement(self.patch, (height, width), draws), draws))
        return worst(self.climb(model, image, label, starts, self.steps))
