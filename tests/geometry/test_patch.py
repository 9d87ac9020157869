from dataclasses import FrozenInstanceError
from math import isqrt

import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec

IMAGE = (224, 224)


@pytest.mark.parametrize(
    ("size", "px"),
    [
        (32, (32, 32)),
        (1, (1, 1)),
        (224, (224, 224)),
        ("32", (32, 32)),
        (" 32 ", (32, 32)),
        ((16, 48), (16, 48)),
        ([16, 48], (16, 48)),
        ("16x48", (16, 48)),
        ("16 X 48", (16, 48)),
        ("224x1", (224, 1)),
        ("1%", (23, 23)),
        ("2%", (32, 32)),
        ("3%", (39, 39)),
        (" 2.0 % ", (32, 32)),
        ("0.001%", (1, 1)),
        ("100%", (224, 224)),
    ],
)
def test_size_in_px(size, px):
    assert PatchSpec(size).shapes_px(IMAGE) == (px,)


@pytest.mark.parametrize(
    ("size", "px"),
    [
        ("16x48,48x16", ((16, 48), (48, 16))),
        (" 16x48 , 48x16 ", ((16, 48), (48, 16))),
        (["16x48", "48x16"], ((16, 48), (48, 16))),
        ([(16, 48), [48, 16]], ((16, 48), (48, 16))),
        (((16, 48), "2%"), ((16, 48), (32, 32))),
        ("2%,32x32", ((32, 32),)),
        ("16x48,16x48", ((16, 48),)),
        (["16x48"], ((16, 48),)),
        ([16, 48], ((16, 48),)),
        (32, ((32, 32),)),
    ],
)
def test_shapes_in_px(size, px):
    assert PatchSpec(size).shapes_px(IMAGE) == px


@pytest.mark.parametrize("size", ["16,48", ["16", "48"], [16, "16x48"], "16x48,32", [32, (16, 48)]])
def test_squares_among_several_shapes_need_both_sides(size):
    with pytest.raises(ConfigurationError, match="needs the height and the width of each"):
        PatchSpec(size)


@pytest.mark.parametrize("percent", range(1, 101))
def test_percentage_is_the_smallest_square_with_that_share_of_the_area(percent):
    ((side, _),) = PatchSpec(f"{percent}%").shapes_px(IMAGE)
    # In whole hundredths of a pixel's area, so that no rounding of floats is involved.
    area = percent * IMAGE[0] * IMAGE[1]
    assert 100 * side**2 >= area > 100 * (side - 1) ** 2
    assert side == isqrt(-(-area // 100) - 1) + 1


def test_percentage_counts_the_area_of_a_rectangular_image():
    assert PatchSpec("2%").shapes_px((112, 448)) == ((32, 32),)


@pytest.mark.parametrize(
    ("size", "image_px", "side"),
    [
        ("4%", (70, 70), 14),
        ("1%", (70, 70), 7),
        ("16%", (280, 280), 112),
    ],
)
def test_percentage_of_a_whole_side_is_that_side(size, image_px, side):
    assert PatchSpec(size).shapes_px(image_px) == ((side, side),)


def test_percentage_with_many_digits_is_never_rounded_down():
    ((side, _),) = PatchSpec("56.92163585%").shapes_px(IMAGE)
    assert side**2 * 10_000_000_000 >= 5_692_163_585 * IMAGE[0] * IMAGE[1]


@pytest.mark.parametrize(
    "size",
    [
        *(0, -1, (0, 16), (16, -1)),
        *("0", "-5", "16x0", "0x16", "0%", "0.0%", "-2%"),
        *("101%", "100.01%", "nan%", "inf%", "1e1%", "%"),
        *(True, False, (True, 16), 32.0, 2.5, (16.0, 16), "1.5"),
        *("", " ", "abc", "32px", "16x", "x16", "16x16x16", "-16x48", "16,48"),
        *("16x48,", ",", "16x48,abc", ["16x48", None], [[(16, 48)]], [["16x48", "48x16"]]),
        *(None, (), (16,), (16, 16, 16), {}, b"32"),
    ],
    ids=repr,
)
def test_size_that_means_nothing_is_refused(size):
    with pytest.raises(ConfigurationError, match="patch"):
        PatchSpec(size)


@pytest.mark.parametrize(
    ("size", "image_px"),
    [
        (225, (224, 224)),
        ("225x1", (224, 224)),
        ("1x225", (224, 224)),
        ((16, 48), (48, 16)),
        ("50%", (10, 1000)),
        ("16x16,48x16", (16, 48)),
    ],
)
def test_patch_larger_than_the_image_is_refused(size, image_px):
    with pytest.raises(ConfigurationError, match=f"larger than the image of {image_px[0]}x{image_px[1]} px"):
        PatchSpec(size).shapes_px(image_px)


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "2", None], ids=repr)
def test_number_of_patches_must_be_a_positive_whole_number(count):
    with pytest.raises(ConfigurationError, match="number of patches"):
        PatchSpec(32, count=count)


@pytest.mark.parametrize(
    ("left", "right"),
    [("32", 32), ("16x48", (16, 48)), ([16, 48], (16, 48)), ("2.0 %", "2%"), ("16x48,2%", [(16, 48), "2.0%"])],
)
def test_spellings_of_one_size_are_equal(left, right):
    assert PatchSpec(left) == PatchSpec(right)
    assert hash(PatchSpec(left)) == hash(PatchSpec(right))


def test_patch_is_immutable():
    with pytest.raises(FrozenInstanceError):
        PatchSpec(32).size = 16
