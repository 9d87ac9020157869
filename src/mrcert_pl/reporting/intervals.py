"""How far a measured share may be from the true one."""

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
