import math

import pytest

from mrcert_pl.reporting.intervals import wilson


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (5, 10), (81, 263), (305, 360)])
def test_wilson_is_the_formula(count: int, n: int) -> None:
    z, p = 1.959963984540054, count / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(count, n) == pytest.approx((middle - half, middle + half), abs=1e-9)


def test_wilson_is_the_published_example() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
