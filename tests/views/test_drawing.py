"""Figures inside a page: well-formed whatever the names in them, and with distinct lines."""

import base64
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mrcert_pl.results import Accuracy
from mrcert_pl.results.schema import SeedAccuracy
from mrcert_pl.views.drawing import INK, data_uri, drawing, embedded, error_bars, look, percent_ticks
from mrcert_pl.views.figures import Panel, draw_contact_sheet, draw_verdict


def texts(name: str) -> list[str]:
    """The texts of a figure with this title, after it was parsed."""
    with drawing(3, 2) as figure:
        figure.suptitle(name)
        image = embedded(figure, "alt")
    svg = ElementTree.fromstring(base64.b64decode(image.source.removeprefix("data:image/svg+xml;base64,")))
    return ["".join(element.itertext()) for element in svg.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", ["mrcert", "<script>alert(1)</script>", 'a"&<b>', "a$b$c", r"$\frac$", "]]>"])
def test_a_name_is_text(name: str) -> None:
    assert texts(name) == [name]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
def test_a_control_character_leaves_the_image_well_formed() -> None:
    assert texts("a\x00b\x1bc") == ["a\ufffdb\ufffdc"]


def test_text_takes_the_colour_of_the_page() -> None:
    with drawing(3, 2) as figure:
        figure.subplots().set_xlabel("patch")
        image = embedded(figure, "alt", "caption")
    svg = base64.b64decode(image.source.split(",")[1]).decode()
    assert (image.alt, image.caption) == ("alt", "caption")
    assert "currentColor" in svg
    assert INK not in svg
    assert "prefers-color-scheme:dark" in svg


@pytest.mark.parametrize("title", [r"correct: $\frac$", "a$b"])
def test_a_class_name_in_an_image_file_is_no_formula(tmp_path: Path, title: str) -> None:
    image = np.ones((8, 8, 3))
    assert draw_verdict(tmp_path / "verdict.png", image, title).is_file()
    columns = [[Panel(title, image), Panel(title, None)]]
    assert draw_contact_sheet(tmp_path / "sheet.png", columns, ["before", "after"]).is_file()


def test_a_file_as_an_address() -> None:
    kind, content = data_uri(b"\x00<>", "image/png").split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == b"\x00<>"


def test_the_first_thirty_lines_are_told_apart() -> None:
    assert len({look(number) for number in range(30)}) == 30


def test_error_bars_are_distances_from_the_value() -> None:
    unmeasured, certain = Accuracy(0, 0), Accuracy(10, 10)
    over_seeds, one_seed = SeedAccuracy(0.6, 0.2, (5, 7)), SeedAccuracy(0.6, None, (6,))
    below, above = error_bars([unmeasured, certain, over_seeds, one_seed])
    assert below == pytest.approx([0, 1 - 10 / (10 + 1.959964**2), 0.2, 0])
    assert above == pytest.approx([0, 0, 0.2, 0])


def test_ticks_are_not_rounded() -> None:
    assert [percent_ticks()(value, 0) for value in (0, 0.075, 0.1, 0.625, 1)] == ["0%", "7.5%", "10%", "62.5%", "100%"]
