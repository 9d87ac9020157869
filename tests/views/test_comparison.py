"""A comparison in words, cells and CSV."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from result_files import evaluation, row

from mrcert_pl.results.compare import Comparison, compare
from mrcert_pl.views.comparison import HEADER, comparison_cells, comparison_csv, introduction

PATH = 'class, "a"/<b>\n1.png'


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """By hand: of four images A classifies four correctly and certifies one, B three and three."""
    first = [replace(row(image_id, certified=image_id == 0), path=PATH) for image_id in range(4)]
    second = [replace(row(image_id, prediction=int(image_id > 0), certified=True), path=PATH) for image_id in range(4)]
    return compare(
        evaluation(tmp_path / "a", first), evaluation(tmp_path / "b", second, patch="16x48", defender="other", seed=3)
    )


def test_both_runs_are_named(comparison: Comparison, tmp_path: Path) -> None:
    assert introduction(comparison) == [
        f"A: mrcert, vit_srf, patch 16 px, seed 0: {tmp_path / 'a'}",
        f"B: other, vit_srf, patch 16x48, seed 3: {tmp_path / 'b'}",
    ]


def test_every_accuracy_has_a_row(comparison: Comparison) -> None:
    rows = comparison_cells(comparison)
    assert rows == [
        ["clean", "100.0 (4)", "75.0 (3)", "-25.0", "1", "0", "1"],
        ["certified", "25.0 (1)", "75.0 (3)", "+50.0", "1", "3", "0.62"],
        ["round trip", "0.0 (0)", "0.0 (0)", "+0.0", "0", "0", "1"],
    ]
    assert all(len(cells) == 1 + len(HEADER) for cells in rows)


def test_the_file_lists_the_images_that_differ(comparison: Comparison) -> None:
    lines = list(csv.DictReader(io.StringIO(comparison_csv(comparison))))
    assert [(line["accuracy"], line["only_in"], line["id"]) for line in lines] == [
        ("clean", "a", "0"),
        ("certified", "a", "0"),
        ("certified", "b", "1"),
        ("certified", "b", "2"),
        ("certified", "b", "3"),
    ]
    assert (lines[0]["label"], lines[0]["prediction_a"], lines[0]["prediction_b"]) == ("1", "1", "0")
    assert {line["path"] for line in lines} == {PATH}


def test_runs_that_agree_leave_the_header_alone(tmp_path: Path) -> None:
    a, b = (evaluation(tmp_path / name, [row(0), row(1)]) for name in "ab")
    assert comparison_csv(compare(a, b)) == "accuracy,only_in,id,path,label,prediction_a,prediction_b\n"
