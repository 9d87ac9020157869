"""Verdicts on files as JSON lines, CSV and a table."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mrcert_pl.reporting.predictions import PredictionFiles, predictions_table, summary_of

ROW: dict[str, Any] = {
    "image": "photos/a.jpg",
    "name": "crane [bird]",
    "decision": "recovered",
    "certified": True,
    "certified_patches": 1,
    "case": 2,
    "witness": [3, 4, 5, 9],
    "certified_fraction": 1.0,
    "mutants_evaluated": 90,
    "seconds": 0.25,
}
BROKEN = {"image": "photos/b [1].jpg", "error": "photos/b [1].jpg is empty"}
COLUMNS = [*ROW, "error"]


def text_of(rows: list[dict[str, Any]]) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(predictions_table(rows))
    return console.export_text()


def test_both_files_have_every_row_from_the_moment_it_was_added(tmp_path: Path) -> None:
    with PredictionFiles(tmp_path, COLUMNS) as files:
        for number, row in enumerate((ROW, BROKEN), start=1):
            files.add(row)
            lines = [json.loads(line) for line in files.lines.read_text().splitlines()]
            table = list(csv.DictReader(files.table.open(newline="")))
            assert len(lines) == len(table) == number
    assert lines == [ROW | {"error": None}, dict.fromkeys(COLUMNS) | BROKEN]
    assert table[0] == {
        **{name: str(value) for name, value in ROW.items()},
        "certified": "true",
        "witness": "[3, 4, 5, 9]",
        "error": "",
    }
    assert table[1] == dict.fromkeys(COLUMNS, "") | BROKEN


def test_the_table_has_a_line_for_each_image() -> None:
    text = text_of([ROW, BROKEN, ROW | {"witness": [], "image": "photos/sub/c.jpg"}])
    assert "a.jpg" in text
    assert "photos/" not in text
    assert "crane [bird]" in text
    assert "3-5, 9" in text
    assert "none" in text
    assert "b [1].jpg" in text
    assert "unreadable" in text


def test_fields_that_nobody_asked_for_are_empty() -> None:
    nothing = dict.fromkeys(("decision", "certified_patches", "witness", "certified_fraction"))
    assert text_of([ROW | nothing]).split() == [
        *("image", "label", "decision", "patches", "case", "hidden", "safe"),
        *("─" * len(line) for line in text_of([ROW | nothing]).split() if line.startswith("─")),
        *("a.jpg", "crane", "[bird]", "-", "2"),
    ]


def test_relative_and_absolute_paths_stand_in_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = text_of([ROW | {"image": "a.jpg"}, ROW | {"image": str(tmp_path / "sub" / "b.jpg")}])
    assert [line.split()[0] for line in text.splitlines() if ".jpg" in line] == ["a.jpg", "sub/b.jpg"]


def test_a_long_table_is_cut() -> None:
    text = text_of([ROW | {"image": f"{number}.jpg"} for number in range(25)])
    assert "19.jpg" in text
    assert "20.jpg" not in text
    assert "and 5 more" in text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([ROW], "1 image: 1 recovered (90 mutants, 0.25 s per image)"),
        (
            [ROW, BROKEN, ROW | {"decision": "accept", "mutants_evaluated": 10}],
            "3 images: 1 accept, 1 recovered, 1 unreadable (50 mutants, 0.25 s per image)",
        ),
        ([ROW | {"decision": None}], "1 image (90 mutants, 0.25 s per image)"),
        ([BROKEN, BROKEN], "2 images: 2 unreadable"),
    ],
)
def test_the_summary(rows: list[dict[str, Any]], expected: str) -> None:
    assert summary_of(rows) == expected
