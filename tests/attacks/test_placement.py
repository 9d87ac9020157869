import numpy as np
import pytest

from mrcert_pl.attacks.placement import Placement, draw_placement, placement_grid
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec


def test_the_mask_and_the_pixels_are_the_rectangle() -> None:
    placement = Placement(1, 2, 3, 4)
    mask = placement.mask((6, 8))
    assert mask.sum() == 12
    assert mask[placement.pixels].all()
    assert mask[0, 1:4, 2:6].all()


def test_a_grid_reaches_both_borders_and_has_every_shape() -> None:
    grid = placement_grid(PatchSpec("2x3,4x1"), (7, 9), step_px=4)
    assert [p for p in grid if p[2:] == (2, 3)] == [
        Placement(top, left, 2, 3) for top in (0, 4, 5) for left in (0, 4, 6)
    ]
    assert [p for p in grid if p[2:] == (4, 1)] == [Placement(top, left, 4, 1) for top in (0, 3) for left in (0, 4, 8)]
    assert placement_grid(PatchSpec(5), (5, 5), 3) == [Placement(0, 0, 5, 5)]


def test_a_step_of_one_px_is_every_place() -> None:
    assert len(placement_grid(PatchSpec("2x3"), (6, 7), 1)) == 5 * 5
    with pytest.raises(ConfigurationError, match="at least 1 px"):
        placement_grid(PatchSpec(2), (6, 6), 0)


def test_drawn_places_are_uniform_over_all_that_fit() -> None:
    draws = np.random.default_rng(0)
    drawn = [draw_placement(PatchSpec("2x3"), (4, 4), draws) for _ in range(3000)]
    counts = {place: drawn.count(place) for place in set(drawn)}
    assert set(counts) == {Placement(top, left, 2, 3) for top in range(3) for left in range(2)}
    assert all(400 < count < 600 for count in counts.values())


def test_drawn_shapes_are_all_of_the_patch() -> None:
    draws = np.random.default_rng(0)
    shapes = {draw_placement(PatchSpec("2x3,3x2"), (4, 4), draws)[2:] for _ in range(50)}
    assert shapes == {(2, 3), (3, 2)}
