"""Intervals of measured accuracies and the test of two runs on the same images."""

from scipy.stats import binomtest

from mrcert_pl.results.schema import Accuracy, SeedAccuracy


def wilson(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, 1927).

    It never leaves [0, 1] and holds for small numbers of images too.

    Args:
        count: Images that have the property.
        n: Images in all, at least 1.
        confidence: Coverage probability of the interval.
    """
    interval = binomtest(count, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def bounds(accuracy: Accuracy | SeedAccuracy) -> tuple[float, float] | None:
    """Ends of an error bar: Wilson's 95 % interval, or one standard deviation over seeds.

    ``None`` without images, or for a single seed.
    """
    if isinstance(accuracy, Accuracy):
        return wilson(accuracy.count, accuracy.n) if accuracy.n else None
    if accuracy.mean is None or accuracy.spread is None:
        return None
    return accuracy.mean - accuracy.spread, accuracy.mean + accuracy.spread


def mcnemar(first: int, second: int) -> float:
    """Two-sided p-value of McNemar's exact test.

    Only images that differ tell two runs apart. If neither run is better, each of these images is equally likely on
    either side: the p-value is that of a binomial distribution with probability 1/2 (Q. McNemar, 1947).

    Args:
        first: Images that are correct in the first run alone.
        second: Images that are correct in the second run alone.
    """
    return float(binomtest(first, first + second).pvalue) if first + second else 1.0
