"""Placements on windows agree with an enumeration of single pixels."""

from itertools import product

import numpy as np
import pytest

from mrcert_pl.geometry import PatchSpec, covering_masks
from mrcert_pl.verification.placements import Placements

COLUMNS = (covering_masks((1, 6), (4, 3), PatchSpec(2)), [[0, 4], [0, 3, 6, 9, 12, 15, 18]])
SQUARES = (covering_masks((3, 3), (2, 2), PatchSpec(2)), [[0, 2, 4, 6], [0, 2, 4, 6]])
UNEVEN = ((0b000_011_011, 0b110_110_000, 0b000_100_100, 0b001_001_000), [[0, 1, 4, 6], [0, 3, 4, 8]])
GRIDS = {"columns": COLUMNS, "squares": SQUARES, "uneven": UNEVEN}


def touched(borders: list[list[int]], top: int, left: int, shape: tuple[int, int]) -> int:
    """Windows with a pixel of the patch, as a bitset."""
    windows = 0
    for y, x in product(range(top, top + shape[0]), range(left, left + shape[1])):
        row, column = (sum(px >= border for border in axis[1:]) for px, axis in zip((y, x), borders, strict=True))
        windows |= 1 << row * (len(borders[1]) - 1) + column
    return windows


def pixelwise(grid: str, shape: tuple[int, int]) -> list[list[list[bool]]]:
    """``[top, left, mask]``: whether the mask hides every window that the patch touches."""
    masks, borders = GRIDS[grid]
    height, width = (axis[-1] - side + 1 for axis, side in zip(borders, shape, strict=True))
    return [
        [[touched(borders, top, left, shape) & ~mask == 0 for mask in masks] for left in range(width)]
        for top in range(height)
    ]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 3), (3, 2), (4, 4)])
def test_safe_placements(grid: str, shape: tuple[int, int]) -> None:
    masks, borders = GRIDS[grid]
    placements, hides = Placements(masks, borders, shape), np.array(pixelwise(grid, shape))
    assert placements.size == hides.shape[:2]
    safe_masks = np.random.default_rng(0).random((7, len(masks))) < 0.5
    safe_masks[0], safe_masks[1] = False, True
    expected = (hides[None] & safe_masks[:, None, None]).any(3)
    safe = placements.safe(safe_masks)
    np.testing.assert_array_equal(placements.count(safe), expected.sum(0))
    np.testing.assert_array_equal(placements.placements(safe), expected.sum((1, 2)))
    assert placements.placements(safe)[0] == 0


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 3), (3, 2), (4, 4)])
def test_the_first_uncovered_placement(grid: str, shape: tuple[int, int]) -> None:
    masks, borders = GRIDS[grid]
    missing = [
        (top, left)
        for top, row in enumerate(pixelwise(grid, shape))
        for left, hides in enumerate(row)
        if not any(hides)
    ]
    assert Placements(masks, borders, shape).uncovered() == (missing[0] if missing else None)


def test_covering_masks_cover_their_patch_and_no_larger_one() -> None:
    for grid in ("columns", "squares"):
        masks, borders = GRIDS[grid]
        assert Placements(masks, borders, (2, 2)).uncovered() is None
        assert Placements(masks[1:], borders, (2, 2)).uncovered() == (0, 0)
    assert Placements(*SQUARES, (4, 4)).uncovered() == (0, 1)
