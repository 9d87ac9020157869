"""Drawings show the verdicts: hidden pixels, maps and patches."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from result_files import row

from mrcert_pl.results.examples import DefenceExample, Example
from mrcert_pl.views.figures import (
    Panel,
    _write,
    draw_contact_sheet,
    draw_defence,
    draw_verdict,
    draw_verdicts,
    verdict_title,
)


def test_a_very_wide_figure_has_fewer_dots_per_inch(tmp_path: Path) -> None:
    file = _write(tmp_path / "wide.png", Figure(figsize=(700, 0.5)))
    with Image.open(file) as drawn:
        assert 60_000 < drawn.width < 2**16


def colours(path: Path) -> np.ndarray:
    return opened(path).reshape(-1, 3)


def opened(path: Path) -> np.ndarray:
    """Colours of an image file, row by row."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def coloured(pixels: np.ndarray, channel: int) -> int:
    others = [c for c in range(3) if c != channel]
    return int((pixels[:, channel] > pixels[:, others].max(1) + 20).sum())


def test_a_drawing_shows_the_hidden_pixels_and_the_map(tmp_path: Path) -> None:
    image, hidden = np.ones((32, 32, 3)), np.zeros((32, 32), dtype=bool)
    hidden[:, 8:24] = True
    pixels = {}
    for name, safe in (("safe", True), ("unsafe", False)):
        path = draw_verdict(tmp_path / f"{name}.png", image, name, hidden, [np.full((25, 25), safe)])
        pixels[name] = colours(path)
        assert (abs(pixels[name] - 0.55 * 255).max(1) < 2).sum() > 1000
    assert coloured(pixels["safe"], 2) > 10 * coloured(pixels["unsafe"], 2)
    assert coloured(pixels["unsafe"], 0) > 10 * coloured(pixels["safe"], 0)


def test_without_witness_and_map_it_is_the_image_alone(tmp_path: Path) -> None:
    wide = draw_verdict(tmp_path / "wide.png", np.zeros((8, 8, 3)), "", np.ones((8, 8), dtype=bool))
    alone = draw_verdict(tmp_path / "alone.png", np.zeros((8, 8, 3)), "")
    assert opened(wide).shape[1] == 2 * opened(alone).shape[1]


def test_hidden_pixels_are_outlined_on_the_image(tmp_path: Path) -> None:
    """Violet, twice as much around two separate boxes as around one of them."""
    blue = []
    for boxes in ([], [(4, 10)], [(4, 10), (20, 26)]):
        hidden = np.zeros((32, 32), dtype=bool)
        for first, last in boxes:
            hidden[first:last, first:last] = True
        pixels = colours(draw_verdict(tmp_path / "outlined.png", np.full((32, 32, 3), 0.5), "", hidden))
        blue.append(coloured(pixels, 2))
    assert blue[0] == 0
    assert blue[1] > 100
    assert blue[2] == pytest.approx(2 * blue[1], rel=0.15)


def test_a_contact_sheet_has_an_image_above_the_other(tmp_path: Path) -> None:
    red, blue = (np.eye(3)[channel] * np.ones((8, 8, 1)) for channel in (0, 2))
    columns = [[Panel("3", red), Panel("8", blue)]] * 2
    sheet = draw_contact_sheet(tmp_path / "sheet.png", columns, ["before", "after"])
    pixels = opened(sheet)
    above, below = np.array_split(pixels.reshape(len(pixels), -1, 3), 2)
    assert coloured(above.reshape(-1, 3), 0) > 1000 > coloured(above.reshape(-1, 3), 2)
    assert coloured(below.reshape(-1, 3), 2) > 1000 > coloured(below.reshape(-1, 3), 0)


def test_a_panel_can_be_outlined_or_have_no_image(tmp_path: Path) -> None:
    """Violet is the outline alone; an image that is missing leaves its panel white."""
    grey, patch = np.full((16, 16, 3), 0.5), np.zeros((16, 16), dtype=bool)
    patch[4:9, 2:7] = True
    drawn = {
        name: colours(draw_contact_sheet(tmp_path / f"{name}.png", [[panel]], ["row"]))
        for name, panel in {
            "plain": Panel("", grey),
            "outlined": Panel("", grey, patch),
            "none": Panel("", None),
        }.items()
    }
    assert coloured(drawn["plain"], 2) == 0
    assert coloured(drawn["outlined"], 2) > 100
    greys = {name: (abs(pixels - 127.5) < 2).all(1).sum() for name, pixels in drawn.items()}
    assert greys["plain"] > 5000 > greys["none"]


def test_verdicts_are_files_by_id(tmp_path: Path) -> None:
    examples = [Example(row(key, prediction=key % 2, certified_patches=1), np.zeros((8, 8, 3))) for key in (3, 4)]
    files = draw_verdicts(tmp_path, examples, ["cat", "dog"], 16)
    assert [file.name for file in files] == ["3.png", "4.png"]
    title = verdict_title(examples[1], ["cat", "dog"], 16)
    assert title == "misclassified: cat, but it is dog (patches of 16 px that can't change it: 1)"


def test_a_defence_has_a_row_for_originals_where_all_are_there(tmp_path: Path) -> None:
    image, patch = np.zeros((8, 8, 3)), np.zeros((8, 8), dtype=bool)
    heights = []
    for original in (None, image):
        examples = [DefenceExample(Example(row(0), image), image, patch, original)]
        heights.append(len(opened(draw_defence(tmp_path / "sheet.png", examples, ["cat", "dog"]))))
    assert heights[1] == pytest.approx(1.5 * heights[0], abs=1)
