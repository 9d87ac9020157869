"""Confidences as log-odds."""

import math

import pytest
import torch

from mrcert_pl.mutants.confidence import log_odds


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
