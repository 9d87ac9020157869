"""The table of predictions and its summary."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from predictions import BROKEN, prediction
from rich.console import Console

from mrcert_pl.results.predictions import Prediction
from mrcert_pl.views.predictions import draw_prediction, predictions_summary, predictions_table, show_predictions


def text_of(rows: list[Prediction]) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(predictions_table(rows))
    return console.export_text()


def test_the_table_has_a_line_for_each_image() -> None:
    text = text_of([prediction(), BROKEN, prediction("photos/sub/c.jpg", witness=())])
    assert "a.jpg" in text
    assert "photos/" not in text
    assert "crane [bird]" in text
    assert "3-5, 9" in text
    assert "none" in text
    assert "b [1].jpg" in text
    assert "unreadable" in text


def test_missing_fields_are_empty() -> None:
    nothing = dict.fromkeys(("decision", "certified_patches", "witness", "certified_fraction"))
    assert text_of([prediction(**nothing)]).split() == [
        *("image", "label", "decision", "patches", "case", "hidden", "safe"),
        *("─" * len(line) for line in text_of([prediction(**nothing)]).split() if line.startswith("─")),
        *("a.jpg", "crane", "[bird]", "-", "2"),
    ]


def test_a_detector_has_columns_of_its_own(tmp_path: Path) -> None:
    silent = {"certified": False, **dict.fromkeys(("certified_patches", "witness", "certified_fraction"))}
    alert = prediction("photos/b.jpg", decision="alert", alert_px=((0, 16, 224, 48),), **silent)
    rows = [prediction(decision="accept", **silent), alert, BROKEN]
    words = " ".join(text_of(rows).split())
    assert words.startswith("image label decision hidden in the alert ")
    assert "a.jpg crane [bird] accept b.jpg crane [bird] alert 0, 16, 224, 48 b [1].jpg unreadable" in words
    console = Console(width=200, record=True, file=io.StringIO())
    show_predictions(rows, "accept: this label or an alert", console)
    text = console.export_text()
    assert "accept: this label or an alert\nhidden in the alert: " in text
    assert "witness" not in text


def test_the_drawing_of_an_alert_shows_the_mutant_that_raises_it(tmp_path: Path) -> None:
    image = torch.full((3, 224, 224), 0.2)
    widths = {}
    for name, alert_px in {"silent": None, "alert": ((0, 16, 224, 48),)}.items():
        path = draw_prediction(tmp_path / f"{name}.png", image, prediction(alert_px=alert_px))
        with Image.open(path) as drawn:
            widths[name] = drawn.width
    assert widths["alert"] > 1.5 * widths["silent"]


def test_relative_and_absolute_paths_stand_in_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = text_of([prediction("a.jpg"), prediction(str(tmp_path / "sub" / "b.jpg"))])
    assert [line.split()[0] for line in text.splitlines() if ".jpg" in line] == ["a.jpg", "sub/b.jpg"]


def test_odd_names_of_images_do_not_control_the_terminal() -> None:
    text = text_of([prediction("photos/a\x1b[2J\udcff.jpg", name="\x1b[8m")])
    assert r"a\x1b[2J\udcff.jpg" in text
    assert r"\x1b[8m" in text
    assert "\x1b" not in text


def test_only_all_locations_are_100_percent() -> None:
    assert " 99%" in text_of([prediction(certified_fraction=0.999)])


def test_a_long_table_is_cut() -> None:
    text = text_of([prediction(f"{number}.jpg") for number in range(25)])
    assert "19.jpg" in text
    assert "20.jpg" not in text
    assert "and 5 more" in text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([prediction()], "1 image: 1 recovered (90 mutants, 0.25 s per image)"),
        (
            [prediction(), BROKEN, prediction(decision="accept", mutants_evaluated=10)],
            "3 images: 1 accept, 1 recovered, 1 unreadable (50 mutants, 0.25 s per image)",
        ),
        ([prediction(decision=None)], "1 image (90 mutants, 0.25 s per image)"),
        ([BROKEN, BROKEN], "2 images: 2 unreadable"),
    ],
)
def test_the_summary(rows: list[Prediction], expected: str) -> None:
    assert predictions_summary(rows) == expected
