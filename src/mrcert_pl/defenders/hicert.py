"""HiCert: masked images without confidence raise an alert too (docs/theory.md, section 14)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrcert_pl.defenders.detection import ThresholdDetector


class HiCert(ThresholdDetector):
    """An alert where a masked image has another label, or the same with a confidence below the threshold (Theorem 21).

    It certifies images whose masked versions disagree, if these have little confidence (Zhou et al., HiCert), and
    raises more alerts on clean images. The threshold 0 is one-mask agreement.

    Args:
        threshold, at_once, margin: see :class:`ThresholdDetector`.
    """

    name = "hicert"

    def dissent_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        return torch.ones_like(log_odds, dtype=torch.bool)

    def agreement_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        return log_odds < self.log_odds_threshold - margin
