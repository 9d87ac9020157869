"""Maps of the page: their range in words, one colour scale, the coordinates of centres."""

import base64
from xml.etree import ElementTree

import numpy as np
import pytest

from mrcert_pl.results.locations import Locations
from mrcert_pl.views.page.maps import limits_of, location_map


def test_maps_say_their_range_and_share_colours() -> None:
    counts = np.full((9, 5), 6)
    counts[:, 2] = 3
    maps = [Locations((counts,), 10, (16, 16)), Locations((np.full((9, 9), 9),), 10, (16, 16))]
    assert limits_of(maps) == (0.3, 0.9)
    assert limits_of(maps[1:]) == pytest.approx((0.9, 0.95))
    figure = location_map(maps[0], 0, "mrcert", (0.3, 0.9))
    assert "mrcert: where a 8x12 px patch is centred" in figure.alt
    assert "30.0 to 60.0 % of the images by location, 54.0 % on average" in figure.alt


def test_a_scale_has_a_range_even_where_all_fractions_are_one() -> None:
    low, high = limits_of([Locations((np.full((3, 3), 4),), 4, (4, 4))])
    assert low < high


def test_the_name_of_a_run_stays_out_of_the_image() -> None:
    """It is text of the page, which escapes it."""
    hostile = "<script>$x"
    figure = location_map(Locations((np.full((9, 9), 9),), 10, (16, 16)), 0, hostile, (0.5, 1.0))
    assert figure.caption.startswith(f"{hostile}: where a 8x8 px patch is centred: 90.0 to 90.0 %")
    svg = base64.b64decode(figure.source.split(",")[1]).decode()
    ElementTree.fromstring(svg)
    assert "script" not in svg


def test_every_shape_of_a_set_has_its_map() -> None:
    maps = Locations((np.full((15, 13), 1), np.full((13, 15), 2)), 2, (16, 16))
    alts = [location_map(maps, shape, "mrcert", (0.0, 1.0)).alt for shape in range(2)]
    assert "a 2x4 px patch is centred" in alts[0]
    assert "50.0 to 50.0 %" in alts[0]
    assert "a 4x2 px patch is centred" in alts[1]
    assert "100.0 to 100.0 %" in alts[1]
