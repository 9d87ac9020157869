"""PatchGuard++: only confident masked images raise an alert (docs/theory.md, section 14)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrcert_pl.defenders.detection import ThresholdDetector


class PatchGuardPlusPlus(ThresholdDetector):
    """An alert where a masked image has another label with a confidence above the threshold (Theorem 21).

    Fewer alerts on clean images than one-mask agreement, and fewer certificates (Xiang and Mittal, PatchGuard++ 2021).
    The rule is applied to masked images of the base model, not to windows of its features as in the paper.

    Args:
        threshold, at_once, margin: see :class:`ThresholdDetector`.
    """

    name = "patchguardpp"

    def dissent_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        return log_odds > self.log_odds_threshold + margin

    def agreement_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        return torch.zeros_like(log_odds, dtype=torch.bool)
