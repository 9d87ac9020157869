"""How sure a model is of a label: top-two margins, and confidences as log-odds."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mrcert_pl.mutants.table import rounded_down

# Twice what rounding to float32 takes, as a fraction of a number: one run rounds its log-odds, the other one rounds
# numbers at the threshold. The rest exceeds the errors of double precision.
_ROUNDING = 2.0**-22


def log_odds(logits: Float[Tensor, "*batch class"]) -> Float[Tensor, "*batch"]:
    """Log-odds ``log(s / (1 - s))`` of the softmax confidence ``s`` of the predicted label, in float64.

    ``s`` reaches a threshold if and only if its log-odds reach the threshold's. In another run whose logits differ by
    at most ``delta`` the log-odds differ by at most ``2 * delta``, as margins do (docs/theory.md, Theorem 6), and
    unlike the confidence they tell values near 1 apart.

    Args:
        logits: finite logits; with a single class the log-odds are infinite.
    """
    exact = logits.double()
    first = exact.argmax(-1, keepdim=True)
    others = exact.scatter(-1, first, -torch.inf)
    return exact.gather(-1, first).squeeze(-1) - others.logsumexp(-1)


def log_odds_of(confidence: float) -> float:
    """Log-odds of a confidence from 0 to 1, infinite at the ends."""
    if confidence in (0, 1):
        return math.copysign(math.inf, confidence - 0.5)
    return math.log(confidence / (1 - confidence))


def float32_rounding(log_odds: Float[Tensor, "*shape"], threshold: float) -> Float[Tensor, "*shape"]:
    """Bound of what the float32 storage of log-odds changes in comparisons of two runs (docs/theory.md, Theorem 22).

    Args:
        log_odds: stored log-odds, in float64.
        threshold: log-odds that they are compared with. Infinite numbers are exact.
    """
    size = log_odds.abs() + (0.0 if math.isinf(threshold) else abs(threshold))
    return _ROUNDING * size.nan_to_num(posinf=0.0)


def top_two_margins(logits: Float[Tensor, "mutant class"]) -> Float[Tensor, " mutant"]:
    """Differences of the two largest logits, rounded down once to half precision; 0 with a single class."""
    best = logits.topk(min(2, logits.shape[1]), dim=1).values.double()
    first, second = best[:, 0], best[:, -1]
    margins = first - second
    # What the difference lost to rounding (Knuth's TwoSum): a margin must not be rounded up.
    back = first - margins
    lost = (first - (margins + back)) + (back - second)
    return rounded_down(torch.where(lost < 0, margins.nextafter(torch.full_like(margins, -torch.inf)), margins))
