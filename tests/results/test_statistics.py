"""Intervals and tests against their formulas and published examples."""

import math

import pytest

from mrcert_pl.results import Accuracy, SeedAccuracy
from mrcert_pl.results.statistics import bounds, mcnemar, wilson


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (5, 10), (81, 263), (305, 360)])
def test_wilson_is_the_formula(count: int, n: int) -> None:
    z, p = 1.959963984540054, count / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(count, n) == pytest.approx((middle - half, middle + half), abs=1e-9)


def test_wilson_is_the_published_example() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (3, 3, 1.0),
        (1, 8, 2 * (1 + 9) / 2**9),
        (6, 2, 2 * (1 + 8 + 28) / 2**8),
        (16, 0, 2 / 2**16),
    ],
)
def test_mcnemar_by_hand(first: int, second: int, p_value: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p_value)
    assert mcnemar(second, first) == pytest.approx(p_value)


def test_error_bars() -> None:
    assert bounds(Accuracy(5, 10)) == wilson(5, 10)
    assert bounds(Accuracy(0, 0)) is None
    assert bounds(SeedAccuracy(0.5, 0.125, (4, 6))) == (0.375, 0.625)
    assert bounds(SeedAccuracy(0.5, None, (5,))) is None
