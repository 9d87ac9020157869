"""One-mask agreement: PatchCensor, ViP, DOMA (docs/theory.md, section 14)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrcert_pl.defenders.detection import Detector


class PatchCensor(Detector):
    """An alert where the label of a masked image differs from that of the image (Theorem 21).

    Detection of PatchCensor (Huang et al. 2023), ViP (Li et al. 2022) and DOMA: for one patch all masks agree.

    Args:
        at_once, margin: see :class:`Detector`.
    """

    name = "patchcensor"

    def dissent_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        return torch.ones_like(log_odds, dtype=torch.bool)

    def agreement_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        return torch.zeros_like(log_odds, dtype=torch.bool)
