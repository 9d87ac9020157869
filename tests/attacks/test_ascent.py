from typing import Any

import pytest
import torch

from mrcert_pl.attacks.ascent import Bounds, ascend, check_ascents, on_grid
from mrcert_pl.errors import ConfigurationError, NumericalError

ALL = torch.ones(2, 1, 4, 4, dtype=torch.bool)
UNIT = Bounds(torch.zeros(1), torch.ones(1), torch.tensor(0.1))


def towards(target):
    """An objective that is highest at ``target``; the label says whether it is nearer than 0.25 everywhere."""

    def objective(images):
        distance = (images - target).flatten(1)
        return -distance.square().sum(1), (distance.abs().amax(1) < 0.25).long()

    return objective


def test_it_climbs_and_keeps_the_best_iterate_not_the_last() -> None:
    images = torch.zeros(2, 3, 4, 4)
    best = ascend(towards(0.52), images, ALL, UNIT, steps=9, quantize=False)
    # 0.1 per step: the fifth is nearest, from there on it swings between 0.5 and 0.6.
    assert best.steps.tolist() == [5, 5]
    assert torch.allclose(best.images, torch.full_like(images, 0.5))


def test_the_last_iterate_is_scored_too() -> None:
    best = ascend(towards(0.9), torch.zeros(2, 3, 4, 4), ALL, UNIT, steps=3, quantize=False)
    assert best.steps.tolist() == [3, 3]
    assert torch.allclose(best.images, torch.full_like(best.images, 0.3))


def test_no_step_scores_what_it_began_with() -> None:
    images = torch.rand(2, 3, 4, 4)
    best = ascend(towards(1.0), images, ALL, UNIT, steps=0, quantize=False)
    assert torch.equal(best.images, images)


def test_only_the_patch_moves_and_stays_within_its_bounds() -> None:
    images, patches = torch.full((2, 3, 4, 4), 0.301), ALL.clone()
    patches[:, :, :2] = False
    best = ascend(towards(2.0), images, patches, UNIT, steps=20, quantize=True)
    assert torch.equal(best.images[:, :, :2], images[:, :, :2])
    assert torch.equal(best.images[:, :, 2:], torch.ones(2, 3, 2, 4))


@pytest.mark.parametrize("quantize", [True, False])
def test_small_steps_add_up_although_what_is_scored_is_rounded(quantize: bool) -> None:
    small = Bounds(torch.zeros(1), torch.ones(1), torch.tensor(0.001))
    best = ascend(towards(1.0), torch.zeros(2, 3, 4, 4), ALL, small, steps=40, quantize=quantize)
    assert torch.allclose(best.images, torch.full_like(best.images, round(0.04 * 255) / 255 if quantize else 0.04))
    assert torch.equal(best.images, on_grid(best.images)) == quantize


def test_every_patch_keeps_its_own_best() -> None:
    images = torch.stack([torch.full((3, 4, 4), 0.45), torch.zeros(3, 4, 4)])
    best = ascend(towards(0.41), images, ALL, UNIT, steps=6, quantize=False)
    assert best.steps.tolist() == [0, 4]
    assert best.champion() == 1


def test_it_ends_when_it_is_enough() -> None:
    best = ascend(towards(0.9), torch.zeros(2, 3, 4, 4), ALL, UNIT, 9, False, enough=lambda best: best.labels.all())
    assert best.steps.tolist() == [7, 7]


def test_scores_that_are_not_finite() -> None:
    def broken(images):
        return images.flatten(1).sum(1) * torch.nan, torch.zeros(len(images), dtype=torch.long)

    with pytest.raises(NumericalError, match="not finite"):
        ascend(broken, torch.zeros(2, 3, 4, 4), ALL, UNIT, 1, False)


def test_it_works_where_lightning_evaluates() -> None:
    with torch.inference_mode():
        best = ascend(towards(1.0), torch.zeros(2, 3, 4, 4), ALL, UNIT, 2, False)
    assert best.steps.tolist() == [2, 2]


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    ("starts", "steps", "step_size", "message"),
    [
        ("8", 1, 0.1, "the starts of an attack must be a whole number of at least 1, got '8'"),
        (None, 1, 0.1, "the starts of an attack must be a whole number of at least 1, got None"),
        (2.5, 1, 0.1, "the starts of an attack must be a whole number of at least 1, got 2.5"),
        (True, 1, 0.1, "the starts of an attack must be a whole number of at least 1, got True"),
        (1, None, 0.1, "the steps of an attack must be a whole number of at least 0, got None"),
        (1, 1, "small", "the step size of an attack must be positive and finite, got 'small'"),
        (1, 1, 0, "the step size of an attack must be positive and finite, got 0"),
        (1, 1, float("nan"), "the step size of an attack must be positive and finite, got nan"),
        (1, 1, float("inf"), "the step size of an attack must be positive and finite, got inf"),
    ],
)
def test_numbers_of_another_type_or_range(starts: Any, steps: Any, step_size: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_ascents(starts, steps, step_size)
