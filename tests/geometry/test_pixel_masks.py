import inspect
from itertools import product

import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice, check_covering
from mrcert_pl.geometry.pixel_masks import pixel_masks
from mrcert_pl.geometry.refined import check_nested


def hidden_pixels(masks, mask):
    """The pixels that a mask hides, cell by cell."""
    columns = masks.grid[1]
    return {
        (y, x)
        for cell in range(masks.grid[0] * columns)
        if mask >> cell & 1
        for y in range(masks.rows[cell // columns], masks.rows[cell // columns + 1])
        for x in range(masks.columns[cell % columns], masks.columns[cell % columns + 1])
    }


def published_starts(pixels, patch_px, number):
    """PatchCleanser's mask set along an axis, as its authors compute it: size, and first pixels."""
    stride = (pixels - patch_px + 1 + number - 1) // number
    size = min(patch_px + stride - 1, pixels)
    starts = list(range(0, pixels - size + 1, stride))
    if (pixels - size) % stride:
        starts.append(pixels - size)
    return size, starts


@pytest.mark.parametrize(("pixels", "patch"), [(20, 5), (21, 1), (13, 13), (17, 8)])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 6])
def test_masks_are_the_published_ones_and_cover_every_placement(pixels, patch, number):
    masks = pixel_masks((pixels, pixels), PatchSpec(patch), number)
    size, starts = published_starts(pixels, patch, number)
    squares = [
        {(y, x) for y in range(top, top + size) for x in range(left, left + size)}
        for top, left in product(starts, starts)
    ]
    hidden = [hidden_pixels(masks, mask) for mask in masks.masks]
    assert hidden == squares
    for top, left in product(range(pixels - patch + 1), repeat=2):
        corners = {(y, x) for y in (top, top + patch - 1) for x in (left, left + patch - 1)}
        assert any(corners <= square for square in hidden)
    check_covering(masks.masks, masks.borders, PatchSpec(patch))


@pytest.mark.parametrize(
    ("number", "stride", "size"), [(3, 65, 96), (4, 49, 80), (5, 39, 70), (6, 33, 64)], ids=lambda value: str(value)
)
def test_published_sizes_for_32_px(number, stride, size):
    masks = pixel_masks((224, 224), PatchSpec(32), number)
    size_found, starts = published_starts(224, 32, number)
    assert (size_found, starts[1]) == (size, stride)
    assert set(masks.rows) == {0, 224, *starts, *(start + size for start in starts)}
    assert len(masks.masks) == number**2


def test_unions_of_three_masks_per_axis_are_few():
    masks = pixel_masks((224, 224), PatchSpec(32), 3)
    lattice = UnionLattice(masks.masks, masks.grid[0] * masks.grid[1], order=4)
    assert len(lattice) == 256


def test_rectangles_and_patches_of_several_shapes_are_covered():
    for patch in (PatchSpec("8x20"), PatchSpec("8x20,20x8")):
        masks = pixel_masks((40, 56), patch, 3)
        check_covering(masks.masks, masks.borders, patch)
        hidden = [hidden_pixels(masks, mask) for mask in masks.masks]
        for height, width in patch.shapes_px((40, 56)):
            for top, left in product(range(41 - height), range(57 - width)):
                corners = {(top, left), (top + height - 1, left + width - 1)}
                assert any(corners <= square for square in hidden)


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2), (6, 6)])
@pytest.mark.parametrize("patch", ["5x5", "3x8,8x3"])
def test_joined_masks_hide_neighbouring_masks(stride, patch):
    masks = pixel_masks((30, 32), PatchSpec(patch), 5)
    squares = []
    for size in PatchSpec(patch).shapes_px((30, 32)):
        along = []
        for pixels, patch_px, number in zip((30, 32), size, stride, strict=True):
            length, starts = published_starts(pixels, patch_px, 5)
            groups = [starts[first : first + number] for first in range(0, len(starts), number)]
            along.append([range(group[0], group[-1] + length) for group in groups])
        squares += [frozenset(product(rows, columns)) for rows, columns in product(*along)]
    hidden = [hidden_pixels(masks, mask) for mask in masks.joined(*stride)]
    assert hidden == [one for one in dict.fromkeys(squares) if not any(one < other for other in squares)]
    check_nested(masks.masks, masks.joined(*stride))
    check_covering(masks.joined(*stride), masks.borders, PatchSpec(patch))


def test_the_check_finds_a_gap():
    masks = pixel_masks((20, 20), PatchSpec(5), 3)
    with pytest.raises(ConfigurationError, match=r"no mask covers the 6x6 px patch whose top left pixel is \(0, 5\)"):
        check_covering(masks.masks, masks.borders, PatchSpec(6))
    with pytest.raises(ConfigurationError, match="no mask covers"):
        check_covering(masks.masks[1:], masks.borders, PatchSpec(5))


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_numbers_that_are_none_are_refused(number):
    with pytest.raises(ConfigurationError, match="masks_per_axis must be a whole number of at least 1"):
        # Without the check of types, which only tests have.
        inspect.unwrap(pixel_masks)((20, 20), PatchSpec(5), number)


def test_more_masks_than_a_lattice_holds_are_refused():
    assert len(pixel_masks((224, 224), PatchSpec(32), 32).masks) <= 32**2
    with pytest.raises(
        ConfigurationError, match=r"masks_per_axis must be at most 32 \(PatchCleanser has 3 to 6\), not 33"
    ):
        pixel_masks((224, 224), PatchSpec(32), 33)


def test_patches_larger_than_the_image_are_refused():
    with pytest.raises(ConfigurationError, match="larger than the image"):
        pixel_masks((20, 20), PatchSpec(21), 3)
