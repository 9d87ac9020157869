"""Patch IFGSM against the cost of refined unions: closures of which the model is not sure."""

import math
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.attacks.adaptive import WON, mutant_logits
from mrcert_pl.attacks.ascent import Objective, check_whole
from mrcert_pl.attacks.mutant_ifgsm import MutantIFGSM
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.models.protocols import BaseModel, DenseModel, GridModel
from mrcert_pl.mutants.confidence import log_odds


class CostlyIFGSM(MutantIFGSM):
    """Random starts at random locations, each improved by signed gradient steps towards mutants that settle nothing.

    The label of a union of large masks settles the unions of small masks inside it where the model is sure of it
    (docs/theory.md, Definition 15); where it is not, these are evaluated too. The score is the mean over the unmasked
    image and the unions of large masks of how far the confidence is below the threshold, in log-odds and at most 1.
    Labels don't count. Mutants that hide the patch keep their confidence.

    Args:
        arguments: Arguments of :class:`~mrcert_pl.attacks.gradient.GradientAttack`.
        stride: Stride of the large masks in windows: the largest one of ``refine``.
        threshold: ``refine_threshold`` under attack, between 0 and 1.
        order: Largest number of masks in the unions of the score.
        settings: Keyword arguments of the same.

    Raises:
        ConfigurationError: For numbers out of range.
    """

    name = "costly"

    def __init__(
        self, *arguments: Any, stride: int = 4, threshold: float = 0.5, order: int = 1, **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold < 1:
            raise ConfigurationError(f"attack.threshold must be between 0 and 1, got {threshold!r}")
        for setting, number in (("stride", stride), ("order", order)):
            check_whole(f"attack.{setting}", number, 1)
        self.stride = stride
        self.threshold = threshold
        self.order = order

    def hidden(self, model: BaseModel) -> Bool[Tensor, "mutant window"]:
        if not isinstance(model, GridModel):
            raise ConfigurationError(f"attack=costly needs a model with masks, unlike {type(model).__name__}")
        return UnionLattice(model.covering_masks(self.patch, self.stride), model.windows, self.order).hidden

    def score(self, model: DenseModel, hidden: Bool[Tensor, "mutant window"], label: int) -> Objective:
        settled = math.log(self.threshold / (1 - self.threshold))

        def objective(images: Tensor) -> tuple[Tensor, Tensor]:
            logits = mutant_logits(model, hidden, images)
            doubt = settled - log_odds(logits).float()
            return doubt.clamp(max=WON).mean(1), logits[:, 0].argmax(1)

        return objective
