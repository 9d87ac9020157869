"""Verdicts on files as JSON lines and CSV."""

import csv
import json
from pathlib import Path

from predictions import BROKEN, prediction

from mrcert_pl.results.predictions import PredictionFiles


def test_both_files_have_every_row_from_the_moment_it_was_added(tmp_path: Path) -> None:
    with PredictionFiles(tmp_path) as files:
        for number, each in enumerate((prediction(), BROKEN), start=1):
            files.add(each)
            lines = [json.loads(line) for line in files.lines.read_text().splitlines()]
            with files.table.open(newline="") as opened:
                table = list(csv.DictReader(opened))
            assert len(lines) == len(table) == number
    first, second = lines
    assert (first["image"], first["witness"], first["certified"], first["error"]) == (
        "photos/a.jpg",
        [3, 4, 5, 9],
        True,
        None,
    )
    assert {name for name, value in second.items() if value is not None} == {"image", "error"}
    assert (table[0]["certified"], table[0]["witness"], table[0]["error"]) == ("true", "[3, 4, 5, 9]", "")
    assert (table[1]["image"], table[1]["error"], table[1]["label"]) == (BROKEN.image, BROKEN.error, "")
