"""An attack on a detector: another label, and no alert."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.attacks.adaptive import WON, AdaptivePatch, mutant_logits
from mrcert_pl.attacks.ascent import Objective
from mrcert_pl.attacks.placement import Placement
from mrcert_pl.defenders import Defender
from mrcert_pl.defenders.detection import Detector
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.models.protocols import BaseModel, DenseModel
from mrcert_pl.mutants import MutantSet

# Log-odds of a confidence of 1 - 1e-6: float32 has few values beyond.
_SURE = 13.8


class SilentPatch(AdaptivePatch):
    """Gradient steps on a patch towards another label of the image without an alert of any entry.

    An entry is silent if it agrees with the new label at a confidence that raises no alert, or dissents at one that
    raises none. Entries that hide the patch keep their labels, so only a label that leaves these silent too can
    succeed: they are in the score like the others (docs/theory.md, Theorem 21). The score of a patch is the largest
    over all other labels of a mean over the unmasked image and a fixed draw of entries: the distance in logits from
    misclassification or from an alert, at most 1.

    Args:
        detector: Detector under attack.
        unions: Its mutants.
        settings: Keyword arguments of :class:`~mrcert_pl.attacks.adaptive.AdaptivePatch`. With fewer ``mutants`` than
            the detector has entries, some that raise an alert may be missing from the score.

    Raises:
        ConfigurationError: For numbers out of range.
    """

    name = "silent"

    def __init__(self, detector: Detector, unions: UnionLattice, **settings: Any) -> None:
        super().__init__(alerting(detector, unions), **settings)
        self.detector = detector

    def candidates(self, model: BaseModel, placement: Placement) -> Int[Tensor, " candidate"]:
        return torch.arange(1, len(self.hidden))

    def objective(self, model: DenseModel, hidden: Bool[Tensor, "mutant window"], label: int) -> Objective:
        return harmful_and_silent(self.detector, model, hidden, label)


def adaptive_attack(defender: Defender[Any], mutant_set: MutantSet, **settings: Any) -> AdaptivePatch:
    """Return the gradient attack on the verdict of a defender: on its label, for a detector on its alert too.

    Args:
        defender: Defender under attack.
        mutant_set: Its mutants.
        settings: Keyword arguments of :class:`~mrcert_pl.attacks.adaptive.AdaptivePatch`.
    """
    if isinstance(defender, Detector) and isinstance(mutant_set, UnionLattice):
        return SilentPatch(defender, mutant_set, **settings)
    return AdaptivePatch(mutant_set.hidden, **settings)


def alerting(detector: Detector, unions: UnionLattice) -> Bool[Tensor, "mutant window"]:
    """Return the hidden windows of the entries that may raise an alert, after those of the unmasked image."""
    return unions.hidden[[0, *unions.maximal(detector.order).tolist()]]


def harmful_and_silent(
    detector: Detector, model: DenseModel, hidden: Bool[Tensor, "mutant window"], label: int
) -> Objective:
    """Return the objective of an attack on a detector: its score is that of :class:`SilentPatch`."""

    def objective(images: Tensor) -> tuple[Tensor, Tensor]:
        logits = mutant_logits(model, hidden, images)
        distances = torch.cat([leads(logits[:, :1]), silence(detector, logits[:, 1:])], 1)
        scores = distances.clamp(max=WON).mean(1)
        # An image that is certified for any label must raise an alert whatever its label is.
        allowed = torch.arange(scores.shape[1], device=scores.device) != label
        return scores[:, allowed].amax(1), logits[:, 0].argmax(1)

    return objective


def silence(detector: Detector, logits: Float[Tensor, "image entry class"]) -> Float[Tensor, "image entry class"]:
    """Return how far each entry is from an alert if the image had each label, in logits; positive: it is silent."""
    log_odds = _log_odds(logits)
    agrees = torch.minimum(leads(logits), log_odds - min(detector.agreement_below, _SURE))
    return torch.maximum(agrees, detector.dissent_above - log_odds.amax(2, keepdim=True))


def leads(logits: Float[Tensor, "image entry class"]) -> Float[Tensor, "image entry class"]:
    """Return the lead of each class over the best of the others."""
    first, second = logits.topk(2, dim=2).values.split(1, dim=2)
    return logits - torch.where(logits == first, second, first)


def _log_odds(logits: Float[Tensor, "image entry class"]) -> Float[Tensor, "image entry class"]:
    """Return the log-odds of the softmax probability of each class, at most those of near certainty."""
    logarithms = logits.log_softmax(2).clamp(max=-1e-6)
    return logarithms - (-logarithms.expm1()).log()
