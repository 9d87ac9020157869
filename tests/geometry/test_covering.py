import inspect
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, check_covering, covering_masks, window_borders

COLUMNS = ((1, 14), (224, 16))
TOKENS = ((14, 14), (16, 16))


def painted(grid, window_px):
    """The image with every pixel painted with the bit of its window."""
    bits = np.array([1 << window for window in range(grid[0] * grid[1])], dtype=object).reshape(grid)
    return bits.repeat(window_px[0], axis=0).repeat(window_px[1], axis=1)


def touched_windows(grid, window_px, patch_px):
    """Windows under the patch, for every pixel that its top left corner can be: an array ``[top, left]`` of bitsets."""
    under = painted(grid, window_px)
    for axis, length in enumerate(patch_px):
        under = np.bitwise_or.reduce(sliding_window_view(under, length, axis), axis=-1)
    return under


def uncovered(masks, touched):
    return [needed for needed in set(touched.flat) if all(needed & ~mask for mask in masks)]


def extent(windows, grid):
    """Rows and columns of a bitset, as (first, last) each; fails unless it is a full rectangle."""
    inside = np.array([windows >> i & 1 for i in range(grid[0] * grid[1])], dtype=bool).reshape(grid)
    rows, columns = inside.any(1).nonzero()[0], inside.any(0).nonzero()[0]
    assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert inside.sum() == len(rows) * len(columns) == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return (rows[0], rows[-1]), (columns[0], columns[-1])


@st.composite
def layouts(draw):
    """A small image: its grid, window, patch (both sides free) and strides."""
    grid = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    window_px = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    patch_px = tuple(draw(st.integers(1, n * w)) for n, w in zip(grid, window_px, strict=True))
    stride = draw(st.one_of(st.integers(1, 4), st.tuples(st.integers(1, 4), st.integers(1, 4))))
    return grid, window_px, patch_px, stride


LAYOUTS = [
    (*COLUMNS, (16, 16), 1),
    (*COLUMNS, (32, 32), 1),
    (*COLUMNS, (32, 32), 3),
    (*COLUMNS, (39, 23), 2),
    ((14, 14), (4, 4), (8, 8), 1),
    ((14, 14), (4, 4), (8, 8), 4),
    ((14, 14), (4, 4), (9, 3), (2, 1)),
    ((14, 14), (4, 4), (3, 9), (1, 3)),
    ((5, 3), (2, 7), (10, 21), 1),
    ((5, 3), (2, 7), (1, 1), (2, 1)),
    ((5, 3), (2, 7), (10, 1), (3, 2)),
    ((1, 1), (4, 4), (2, 3), 1),
    ((4, 4), (1, 1), (2, 3), 9),
]


@pytest.mark.parametrize(("grid", "window_px", "patch_px", "stride"), LAYOUTS)
def test_one_mask_hides_all_windows_under_the_patch(grid, window_px, patch_px, stride):
    masks = covering_masks(grid, window_px, PatchSpec(patch_px), stride)
    assert not uncovered(masks, touched_windows(grid, window_px, patch_px))
    check_covering(masks, window_borders(grid, window_px), PatchSpec(patch_px))


@given(layouts())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_one_mask_hides_all_windows_under_the_patch_in_any_layout(layout):
    grid, window_px, patch_px, stride = layout
    masks = covering_masks(grid, window_px, PatchSpec(patch_px), stride)
    assert not uncovered(masks, touched_windows(grid, window_px, patch_px))
    check_covering(masks, window_borders(grid, window_px), PatchSpec(patch_px))


@given(layouts())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_masks_are_no_longer_and_no_more_than_the_stride_asks_for(layout):
    grid, window_px, patch_px, stride = layout
    masks = covering_masks(grid, window_px, PatchSpec(patch_px), stride)
    patches = [extent(windows, grid) for windows in set(touched_windows(grid, window_px, patch_px).flat)]
    extents = [extent(mask, grid) for mask in masks]
    assert len(set(masks)) == len(masks)

    for axis, step in enumerate((stride, stride) if isinstance(stride, int) else stride):
        most_touched = max(patch[axis][1] - patch[axis][0] + 1 for patch in patches)
        lengths = {mask[axis][1] - mask[axis][0] + 1 for mask in extents}
        assert lengths == {min(most_touched + step - 1, grid[axis])}
        starts = sorted({mask[axis][0] for mask in extents})
        assert starts[0] == 0
        assert starts[-1] + max(lengths) == grid[axis]
        assert all(after - before == step for before, after in pairwise(starts[:-1]))
        assert all(0 < after - before <= step for before, after in pairwise(starts))


def test_masks_of_columns_by_hand():
    assert covering_masks((1, 4), (64, 16), PatchSpec(16)) == (0b0011, 0b0110, 0b1100)
    assert covering_masks((1, 5), (64, 16), PatchSpec(16), stride=2) == (0b00111, 0b11100)
    assert covering_masks((1, 6), (64, 16), PatchSpec(16), stride=2) == (0b000111, 0b011100, 0b111000)


def test_masks_of_a_grid_by_hand():
    """Bit ``row * columns + column``, and height before width: a flat patch touches two columns but one row."""
    assert covering_masks((2, 3), (8, 8), PatchSpec("1x9")) == (0b000_011, 0b000_110, 0b011_000, 0b110_000)
    assert covering_masks((2, 3), (8, 8), PatchSpec("9x1")) == (0b001_001, 0b010_010, 0b100_100)


@pytest.mark.parametrize(
    ("layout", "patch", "stride", "masks", "hidden"),
    [
        (COLUMNS, 16, 1, 13, 2),
        (COLUMNS, 32, 1, 12, 3),
        (COLUMNS, "2%", 1, 12, 3),
        (COLUMNS, "3%", 1, 11, 4),
        (COLUMNS, 224, 1, 1, 14),
        (COLUMNS, 1, 1, 14, 1),
        (TOKENS, 32, 1, 144, 9),
        (TOKENS, 32, 2, 36, 16),
        (TOKENS, 32, 3, 16, 25),
        (TOKENS, 32, 4, 9, 36),
        (TOKENS, 32, (4, 1), 36, 18),
    ],
)
def test_known_mask_sets(layout, patch, stride, masks, hidden):
    made = covering_masks(*layout, PatchSpec(patch), stride)
    assert len(made) == masks
    assert {mask.bit_count() for mask in made} == {hidden}


@pytest.mark.parametrize("missing", [0, 5, -1], ids=["first", "middle", "last"])
def test_check_finds_a_missing_mask(missing):
    masks = list(covering_masks(*COLUMNS, PatchSpec(32)))
    del masks[missing]
    with pytest.raises(ConfigurationError, match="no mask covers the 32x32 px patch"):
        check_covering(masks, window_borders(*COLUMNS), PatchSpec(32))


def test_check_finds_masks_that_are_one_window_too_short():
    short = [0b11 << column for column in range(13)]
    check_covering(short, window_borders(*COLUMNS), PatchSpec(17))
    with pytest.raises(ConfigurationError, match="no mask covers"):
        check_covering(short, window_borders(*COLUMNS), PatchSpec(18))


@pytest.mark.parametrize(
    ("masks", "first"),
    [
        pytest.param([0b11 << column for column in range(13)], (0, 15), id="third column of an 18 px patch"),
        pytest.param([], (0, 0), id="no mask at all"),
    ],
)
def test_check_names_the_first_gap(masks, first):
    with pytest.raises(ConfigurationError, match=re.escape(f"top left pixel is {first}")):
        check_covering(masks, window_borders(*COLUMNS), PatchSpec(18))


def test_check_accepts_masks_of_any_origin():
    check_covering([(1 << 14) - 1], window_borders(*COLUMNS), PatchSpec(32))
    check_covering(iter([0b0111, 0b1110]), window_borders((1, 4), (8, 8)), PatchSpec(8))
    check_covering([0b1111], window_borders((2, 2), (4, 4)), PatchSpec(5))


def test_check_refuses_an_empty_mask_set():
    with pytest.raises(ConfigurationError, match="no mask covers the 32x32 px patch"):
        check_covering([], window_borders(*COLUMNS), PatchSpec(32))


@given(layouts(), st.data())
@settings(max_examples=150, derandomize=True, deadline=None)
def test_check_agrees_with_the_brute_force_on_damaged_mask_sets(layout, data):
    grid, window_px, patch_px, stride = layout
    masks = covering_masks(grid, window_px, PatchSpec(patch_px), stride)
    masks = data.draw(st.lists(st.sampled_from(masks), unique=True, max_size=len(masks)))
    if masks and data.draw(st.booleans()):
        masks[0] &= ~(1 << data.draw(st.integers(0, grid[0] * grid[1] - 1)))
    touched = touched_windows(grid, window_px, patch_px)
    gaps = uncovered(masks, touched)

    if not gaps:
        check_covering(masks, window_borders(grid, window_px), PatchSpec(patch_px))
        return
    with pytest.raises(ConfigurationError) as error:
        check_covering(masks, window_borders(grid, window_px), PatchSpec(patch_px))
    top, left = map(int, re.search(r"\((\d+), (\d+)\)", str(error.value)).groups())
    assert touched[top, left] in gaps


@pytest.mark.parametrize(
    ("grid", "window_px", "stride", "named"),
    [
        ((0, 3), (8, 8), 1, "grid"),
        ((3, -1), (8, 8), 1, "grid"),
        ((3,), (8, 8), 1, "grid"),
        ((3, 3, 3), (8, 8), 1, "grid"),
        ((3, 3), (0, 8), 1, "window"),
        ((3, 3), (8,), 1, "window"),
        ((3, 3), (8, 8), 0, "stride"),
        ((3, 3), (8, 8), -1, "stride"),
        ((3, 3), (8, 8), (1, 0), "stride"),
        ((3, 3), (8, 8), (1, 1, 1), "stride"),
        ((3, 3), (8, 8), 1.5, "stride"),
        ((3, 3), (8, 8), "2", "stride"),
        ((3, 3), (8.0, 8), 1, "window"),
    ],
)
def test_sizes_that_are_no_whole_numbers_of_at_least_one_are_refused(grid, window_px, stride, named):
    with pytest.raises(ConfigurationError, match=f"the {named} must be"):
        # Without the check of types, which only tests have.
        inspect.unwrap(covering_masks)(grid, window_px, PatchSpec(1), stride)


@pytest.mark.parametrize("patch", [25, "1x25", "25x1"])
def test_patch_larger_than_the_image_is_refused(patch):
    with pytest.raises(ConfigurationError, match="larger than the image of 24x24 px"):
        covering_masks((3, 3), (8, 8), PatchSpec(patch))


def sides(draw, grid, window_px):
    return tuple(draw(st.integers(1, n * w)) for n, w in zip(grid, window_px, strict=True))


@given(layouts(), st.data())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_masks_of_several_shapes_cover_each_of_them(layout, data):
    grid, window_px, patch_px, stride = layout
    shapes = [patch_px, *(sides(data.draw, grid, window_px) for _ in range(data.draw(st.integers(1, 3))))]
    masks = covering_masks(grid, window_px, PatchSpec(shapes), stride)
    for shape in shapes:
        assert not uncovered(masks, touched_windows(grid, window_px, shape))
    check_covering(masks, window_borders(grid, window_px), PatchSpec(shapes))

    every = {mask for shape in shapes for mask in covering_masks(grid, window_px, PatchSpec(shape), stride)}
    assert set(masks) == {mask for mask in every if not any(mask != m and mask & m == mask for m in every)}
    assert len(set(masks)) == len(masks)


@given(layouts(), st.data())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_masks_of_a_patch_cover_every_smaller_one(layout, data):
    """So a bound is all that must be known of the size."""
    grid, window_px, patch_px, stride = layout
    smaller = tuple(data.draw(st.integers(1, side)) for side in patch_px)
    masks = covering_masks(grid, window_px, PatchSpec(patch_px), stride)
    assert not uncovered(masks, touched_windows(grid, window_px, smaller))
    check_covering(masks, window_borders(grid, window_px), PatchSpec(smaller))


def test_masks_of_two_rectangles_by_hand():
    """A flat and a high patch on 2x3 windows: masks of 1x2 and of 2x1 windows."""
    flat, high = (0b000_011, 0b000_110, 0b011_000, 0b110_000), (0b001_001, 0b010_010, 0b100_100)
    assert covering_masks((2, 3), (8, 8), PatchSpec("1x9,9x1")) == flat + high
    assert covering_masks((2, 3), (8, 8), PatchSpec("1x9,9x1,1x1")) == flat + high


@pytest.mark.parametrize(
    ("layout", "masks", "hidden"),
    [
        (COLUMNS, 11, {4}),  # columns see the width only: the wider shape contains the other
        (TOKENS, 11 * 13 * 2, {8}),
        (((7, 7), (32, 32)), 5 * 6 * 2, {6}),
        (((2, 2), (112, 112)), 1, {4}),
    ],
)
def test_two_rectangles_on_grids_of_all_kinds(layout, masks, hidden):
    made = covering_masks(*layout, PatchSpec("16x48,48x16"))
    check_covering(made, window_borders(*layout), PatchSpec("16x48,48x16"))
    assert len(made) == masks
    assert {mask.bit_count() for mask in made} == hidden


def test_check_names_the_shape_that_is_not_covered():
    masks = covering_masks(*TOKENS, PatchSpec("16x48"))
    with pytest.raises(ConfigurationError, match=re.escape("the 48x16 px patch whose top left pixel is (0, 0)")):
        check_covering(masks, window_borders(*TOKENS), PatchSpec("16x48,48x16"))
