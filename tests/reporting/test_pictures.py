"""Pictures of verdicts: which images are shown, and that what is drawn is what was decided."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting.pictures import Panel, contact_sheet, examples, kind_of, verdict_picture

RIGHT = {"label": 3, "prediction": 3, "base_prediction": 3, "certified": False, "round_trip": False}
KINDS = {
    "round trip": RIGHT | {"certified": True, "round_trip": True},
    "certified": RIGHT | {"certified": True},
    "not certified": RIGHT,
    "recovered": RIGHT | {"base_prediction": 1},
    "wrong": RIGHT | {"prediction": 1, "certified": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    assert kind_of(KINDS[kind]) == kind


def test_examples_are_of_every_kind_in_turn() -> None:
    rows = [KINDS["certified"] | {"id": i} for i in range(10)] + [KINDS["wrong"] | {"id": i} for i in range(10, 12)]
    assert [row["id"] for row in examples(rows, 5)] == [0, 10, 1, 11, 2]
    assert len(examples(rows, 100)) == 12
    assert examples([], 3) == []


def test_images_can_be_asked_for_by_their_ids() -> None:
    rows = [KINDS["certified"] | {"id": i} for i in range(10)]
    assert [row["id"] for row in examples(rows, [7, 2])] == [7, 2]
    with pytest.raises(ResultsError, match=r"no verdicts on the images \[11\]"):
        examples(rows, [2, 11])


def colours(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int).reshape(-1, 3)


def coloured(pixels: np.ndarray, channel: int) -> int:
    others = [c for c in range(3) if c != channel]
    return int((pixels[:, channel] > pixels[:, others].max(1) + 20).sum())


def test_a_picture_shows_the_hidden_pixels_and_the_map(tmp_path: Path) -> None:
    image, hidden = np.ones((32, 32, 3)), np.zeros((32, 32), dtype=bool)
    hidden[:, 8:24] = True
    pixels = {}
    for name, safe in (("safe", True), ("unsafe", False)):
        path = verdict_picture(tmp_path / f"{name}.png", image, name, hidden, [np.full((25, 25), safe)])
        pixels[name] = colours(path)
        assert (abs(pixels[name] - 0.55 * 255).max(1) < 2).sum() > 1000
    assert coloured(pixels["safe"], 1) > 10 * coloured(pixels["unsafe"], 1)
    assert coloured(pixels["unsafe"], 0) > 10 * coloured(pixels["safe"], 0)


def test_without_witness_and_map_it_is_the_image_alone(tmp_path: Path) -> None:
    wide = verdict_picture(tmp_path / "wide.png", np.zeros((8, 8, 3)), "", np.ones((8, 8), dtype=bool))
    alone = verdict_picture(tmp_path / "alone.png", np.zeros((8, 8, 3)), "")
    assert Image.open(wide).width == 2 * Image.open(alone).width


def test_hidden_pixels_are_outlined_on_the_image(tmp_path: Path) -> None:
    """Blue, twice as much around two separate boxes as around one of them."""
    blue = []
    for boxes in ([], [(4, 10)], [(4, 10), (20, 26)]):
        hidden = np.zeros((32, 32), dtype=bool)
        for first, last in boxes:
            hidden[first:last, first:last] = True
        pixels = colours(verdict_picture(tmp_path / "outlined.png", np.full((32, 32, 3), 0.5), "", hidden))
        blue.append(coloured(pixels, 2))
    assert blue[0] == 0
    assert blue[1] > 100
    assert blue[2] == pytest.approx(2 * blue[1], rel=0.15)


def test_a_contact_sheet_has_an_image_above_the_other(tmp_path: Path) -> None:
    red, blue = (np.eye(3)[channel] * np.ones((8, 8, 1)) for channel in (0, 2))
    columns = [[Panel("3", red), Panel("8", blue)]] * 2
    sheet = contact_sheet(tmp_path / "sheet.png", columns, ["before", "after"])
    pixels = np.asarray(Image.open(sheet).convert("RGB")).astype(int)
    above, below = np.array_split(pixels.reshape(len(pixels), -1, 3), 2)
    assert coloured(above.reshape(-1, 3), 0) > 1000 > coloured(above.reshape(-1, 3), 2)
    assert coloured(below.reshape(-1, 3), 2) > 1000 > coloured(below.reshape(-1, 3), 0)


def test_a_panel_can_be_outlined_or_have_no_image(tmp_path: Path) -> None:
    """Blue is the outline alone; an image that isn't there leaves its place white."""
    grey, patch = np.full((16, 16, 3), 0.5), np.zeros((16, 16), dtype=bool)
    patch[4:9, 2:7] = True
    drawn = {
        name: colours(contact_sheet(tmp_path / f"{name}.png", [[panel]], ["row"]))
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
