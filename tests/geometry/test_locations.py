"""Maps of safe places, and boxes of hidden windows, against loops over all pixels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import (
    PatchSpec,
    certified_fraction,
    covering_masks,
    hidden_boxes,
    location_maps,
    window_borders,
)


def touched_by(top, left, patch_px, grid, window_px):
    """The windows under a patch, pixel by pixel."""
    rows = {row // window_px[0] for row in range(top, top + patch_px[0])}
    columns = {column // window_px[1] for column in range(left, left + patch_px[1])}
    return sum(1 << row * grid[1] + column for row in rows for column in columns)


def maps_by_pixel(safe, masks, grid, window_px, shapes):
    """``{(shape, top, left): safe}`` of one image."""
    return {
        (shape, top, left): any(
            covered and touched_by(top, left, shape, grid, window_px) & ~mask == 0
            for covered, mask in zip(safe, masks, strict=True)
        )
        for shape in shapes
        for top in range(grid[0] * window_px[0] - shape[0] + 1)
        for left in range(grid[1] * window_px[1] - shape[1] + 1)
    }


@st.composite
def situations(draw):
    grid = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    window_px = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    shape = st.tuples(*(st.integers(1, n * w) for n, w in zip(grid, window_px, strict=True)))
    return grid, window_px, draw(st.lists(shape, min_size=1, max_size=2, unique=True)), draw(st.integers(1, 3))


@given(situations(), st.integers(0, 2**32 - 1))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_maps_are_those_of_all_pixels(situation, seed):
    grid, window_px, shapes, stride = situation
    patch = PatchSpec(shapes)
    masks = covering_masks(grid, window_px, patch, stride)
    safe = torch.rand(3, len(masks), generator=torch.Generator().manual_seed(seed)) < 0.5
    maps = location_maps(safe, masks, window_borders(grid, window_px), patch)
    fractions = certified_fraction(maps).tolist()
    for image in range(3):
        expected = maps_by_pixel(safe[image].tolist(), masks, grid, window_px, shapes)
        found = {
            (shape, top, left): bool(places[image, top, left])
            for shape, places in zip(shapes, maps, strict=True)
            for top in range(places.shape[1])
            for left in range(places.shape[2])
        }
        assert found == expected
        assert fractions[image] == pytest.approx(sum(expected.values()) / len(expected))


def test_columns_by_hand():
    """Four columns of 2 px, a patch of 2 px: seven offsets, of which the odd ones touch two columns."""
    layout = ((1, 4), (3, 2), PatchSpec("3x2"))
    masks = covering_masks(*layout)
    assert masks == (0b0011, 0b0110, 0b1100)
    (places,) = location_maps(
        torch.tensor([[True, False, False], [False, True, False]]), masks, window_borders(*layout[:2]), layout[2]
    )
    assert places.int().tolist() == [[[1, 1, 1, 0, 0, 0, 0]], [[0, 0, 1, 1, 1, 0, 0]]]
    assert certified_fraction([places]).tolist() == [3 / 7, 3 / 7]


@pytest.mark.parametrize("everywhere", [True, False])
def test_all_or_nothing(everywhere):
    layout = ((14, 14), (16, 16), PatchSpec("16x48,48x16"))
    masks = covering_masks(*layout, stride=3)
    maps = location_maps(torch.full((2, len(masks)), everywhere), masks, window_borders(*layout[:2]), layout[2])
    assert [places.shape for places in maps] == [(2, 209, 177), (2, 177, 209)]
    assert certified_fraction(maps).tolist() == [float(everywhere)] * 2


def test_no_images():
    layout = ((1, 4), (3, 2), PatchSpec("3x2"))
    maps = location_maps(
        torch.zeros(0, 3, dtype=torch.bool), covering_masks(*layout), window_borders(*layout[:2]), layout[2]
    )
    assert maps[0].shape == (0, 1, 7)
    assert certified_fraction(maps).shape == (0,)


@pytest.mark.parametrize("shape", [(2, 4), (3,)])
def test_masks_of_another_lattice_are_refused(shape):
    layout = ((1, 4), (3, 2), PatchSpec("3x2"))
    with pytest.raises(ConfigurationError, match="with 3 masks, not"):
        location_maps(
            torch.zeros(shape, dtype=torch.bool), covering_masks(*layout), window_borders(*layout[:2]), layout[2]
        )


BORDERS = ((0, 10, 25, 30), (0, 4, 8, 20))


def test_hidden_boxes_by_hand():
    """Two columns that touch make one box; a window below only half of it makes a second one."""
    hidden = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 1, 0]]).bool().flatten()
    assert hidden_boxes(hidden, BORDERS) == [(0, 0, 25, 8), (25, 4, 30, 8)]
    assert hidden_boxes(torch.zeros(9).bool(), BORDERS) == []
    assert hidden_boxes(torch.ones(9).bool(), BORDERS) == [(0, 0, 30, 20)]


def test_hidden_boxes_cover_what_is_hidden_once():
    """All sets of nine windows, painted pixel by pixel."""
    for number in range(512):
        hidden = torch.tensor([number >> window & 1 for window in range(9)]).bool()
        painted = torch.zeros(30, 20, dtype=torch.int)
        for top, left, bottom, right in hidden_boxes(hidden, BORDERS):
            painted[top:bottom, left:right] += 1
        for window in range(9):
            row, column = divmod(window, 3)
            rows, columns = (slice(*along[at : at + 2]) for along, at in zip(BORDERS, (row, column), strict=True))
            assert (painted[rows, columns] == hidden[window].int()).all()
