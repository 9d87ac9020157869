"""Confidences as log-odds, and top-two margins."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from mrcert_pl.mutants.confidence import float32_rounding, log_odds, log_odds_of, top_two_margins


def test_log_odds_are_those_of_the_softmax_confidence() -> None:
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    confidence = logits.softmax(-1).amax(-1)
    assert torch.allclose(log_odds(logits), torch.logit(confidence))


def test_a_confidence_near_one_keeps_its_odds() -> None:
    """The softmax in float32 would be exactly 1."""
    assert log_odds(torch.tensor([60.0, 0.0])).item() == pytest.approx(60.0)
    assert torch.logit(torch.tensor([60.0, 0.0]).softmax(-1).amax(-1)).isinf()


def test_equal_logits() -> None:
    assert log_odds(torch.zeros(4)).item() == pytest.approx(-math.log(3))


def test_a_single_class_is_certain() -> None:
    assert log_odds(torch.zeros(3, 1)).tolist() == [math.inf] * 3


def test_log_odds_move_no_further_than_the_differences_of_the_logits() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 4 * torch.randn(500, 6, generator=generator)
    other = logits + 0.1 * (2 * torch.rand(logits.shape, generator=generator) - 1)
    moved = (log_odds(other) - log_odds(logits)).abs()
    # The logits differ by at most 0.1.
    assert moved.max() <= 0.2 + 1e-6


def test_confidences_as_log_odds() -> None:
    assert [log_odds_of(confidence) for confidence in (0.0, 0.5, 1.0)] == [-math.inf, 0.0, math.inf]
    assert log_odds_of(0.8) == pytest.approx(math.log(4))


def test_infinite_numbers_are_not_rounded() -> None:
    odds = torch.tensor([-2.0, 0.0, math.inf], dtype=torch.float64)
    assert float32_rounding(odds, 1.0).tolist() == [3 * 2.0**-22, 2.0**-22, 0.0]
    assert float32_rounding(odds, -math.inf).tolist() == [2 * 2.0**-22, 0.0, 0.0]


def test_margins_are_rounded_down_from_the_exact_difference() -> None:
    """Differences just below a number of half precision, which float32 and float64 would round up to it."""
    draws = np.random.default_rng(4)
    first = draws.choice([0.0, 0.5, 1.0, 2.0, 1000.0, 1e-6, 3e4], size=3000).astype(np.float32)
    second = (first - draws.choice([0.25, 1.0, 3.0, 0.0], size=3000)).astype(np.float32)
    second += (10.0 ** draws.uniform(-45, 0, size=3000) * draws.choice([0.0, 1.0, -1.0], size=3000)).astype(np.float32)
    tiny = [[1.0, 2.0**-26], [1.0, 2.0**-100], [1.0, -(2.0**-100)], [0.0, 0.0], [1e38, -1e38]]
    logits = torch.cat([torch.from_numpy(np.stack([first, second], 1)), torch.tensor(tiny)])
    lost = 0
    for pair, margin in zip(logits.tolist(), top_two_margins(logits).tolist(), strict=True):
        exact = Fraction(max(pair)) - Fraction(min(pair))
        assert Fraction(margin) <= exact
        assert margin == 65504 or float(np.nextafter(np.float16(margin), np.float16(65504))) > exact
        nearest = torch.tensor(max(pair)) - torch.tensor(min(pair))
        lost += Fraction(float(nearest)) > exact and float(nearest.half()) == float(nearest)
    assert lost > 20
    assert top_two_margins(torch.ones(2, 1)).tolist() == [0.0, 0.0]
