"""How far a measured share may be from the true one."""

from collections.abc import Mapping
from typing import Any

from scipy.stats import binomtest


def wilson(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, 1927): it never leaves [0, 1], and holds for few images too.

    Args:
        count: images that have the property.
        n: images in all, at least one.
        confidence: how often such an interval has the true share in it.
    """
    interval = binomtest(count, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def bounds(accuracy: Mapping[str, Any]) -> tuple[float, float] | None:
    """What a figure draws around an accuracy of ``results.json``: Wilson's 95 % interval, or over seeds the spread.

    ``None`` where there is neither: no image, or a single seed.
    """
    if "spread" in accuracy:
        mean, spread = accuracy["measured"], accuracy["spread"]
        return None if spread is None else (mean - spread, mean + spread)
    return wilson(accuracy["count"], accuracy["n"]) if accuracy["n"] else None
