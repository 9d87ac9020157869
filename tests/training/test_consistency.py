import math

import numpy as np
import pytest
import torch

from mrcert_pl.training.consistency import disagreement


def reference(views: list[np.ndarray]) -> float:
    """Entropy of the mean distribution less the mean entropy, image by image."""

    def entropy(p: np.ndarray) -> float:
        return -sum(x * math.log(x) for x in p if x > 0)

    values = []
    for rows in zip(*views, strict=True):
        probabilities = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in rows]
        values.append(entropy(np.mean(probabilities, axis=0)) - np.mean([entropy(p) for p in probabilities]))
    return float(np.mean(values))


@pytest.mark.parametrize("views", [2, 3])
def test_it_is_the_entropy_of_the_mixture_less_the_mean_entropy(views: int) -> None:
    logits = [3 * torch.randn(7, 5) for _ in range(views)]
    assert float(disagreement(logits)) == pytest.approx(reference([x.double().numpy() for x in logits]), abs=1e-5)


def test_equal_views_agree_and_opposite_ones_are_ln_two_apart() -> None:
    logits = torch.randn(4, 5)
    assert float(disagreement([logits, logits + 3])) == pytest.approx(0, abs=1e-6)
    one, other = torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]])
    assert float(disagreement([one, other])) == pytest.approx(math.log(2), abs=1e-5)


def test_the_gradient_brings_views_together_and_stays_finite() -> None:
    one, other = torch.tensor([[60.0, -60.0]], requires_grad=True), torch.tensor([[-1.0, 1.0]], requires_grad=True)
    before = disagreement([one, other])
    before.backward()
    assert one.grad is not None
    assert other.grad is not None
    assert one.grad.isfinite().all()
    after = disagreement([one - one.grad, other - other.grad])
    assert after < before
