"""Which images only one of two runs has, and whether that is chance."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from result_files import evaluation, row
from rich.console import Console

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import Accuracy
from mrcert_pl.results.compare import compare
from mrcert_pl.views.comparison import comparison_csv
from mrcert_pl.views.terminal import show_comparison


def test_every_image_is_on_its_side(tmp_path: Path) -> None:
    certified = {"certified": True}
    a = evaluation(
        tmp_path / "a", [row(0), row(1, **certified), row(2, prediction=0, **certified), row(3, **certified)]
    )
    # In another order; image 2 is certified by both, but only classified correctly by the second.
    b = evaluation(tmp_path / "b", [row(3, **certified), row(2, **certified), row(1), row(0, **certified)])
    comparison = compare(a, b)
    paired = comparison.paired
    assert paired["certified"].counts == (2, 3)
    assert paired["certified"].only == ((1,), (0, 2))
    assert paired["clean"].only == ((), (2,))
    assert paired["round_trip"].counts == (0, 0)
    assert paired["certified"].p_value == 1.0
    for name in paired:
        assert paired[name].counts == tuple(run.result.accuracy[name].count for run in (a, b))

    lines = list(csv.DictReader(io.StringIO(comparison_csv(comparison))))
    assert [(line["accuracy"], line["only_in"], line["id"]) for line in lines] == [
        ("clean", "b", "2"),
        ("certified", "a", "1"),
        ("certified", "b", "0"),
        ("certified", "b", "2"),
    ]
    assert (lines[0]["prediction_a"], lines[0]["prediction_b"]) == ("0", "1")

    show_comparison(comparison, console := Console(width=100, file=io.StringIO()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"certified +50\.0 \(2\) +75\.0 \(3\) +\+25\.0 +1 +2 +1\n", re.sub(" +\n", "\n", text))
    assert "certified in B alone: 0, 2" in text


def test_long_lists_are_cut_on_the_terminal(tmp_path: Path) -> None:
    a, b = (evaluation(tmp_path / str(flag), [row(key, certified=flag) for key in range(50)]) for flag in (True, False))
    show_comparison(compare(a, b), console := Console(width=100, file=io.StringIO()))
    assert "and 10 more (--format csv lists all)" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rows", "facts", "message"),
    [
        ([row(0)], {}, r"different images: 1 are only in .*a \(1\);"),
        ([row(0), row(2)], {}, r"only in .*a \(1\), 1 are only in .*b \(2\); compare evaluations of the same data set"),
        ([row(0), row(1, label=2)], {}, "the images 1 have different true labels"),
        ([row(0), row(1)], {"dataset": "cifar10"}, "a is about digits, .*b about cifar10"),
    ],
)
def test_other_images_are_refused(tmp_path: Path, rows: list, facts: dict, message: str) -> None:
    a, b = evaluation(tmp_path / "a", [row(0), row(1)]), evaluation(tmp_path / "b", rows, **facts)
    with pytest.raises(ResultsError, match=message):
        compare(a, b)


def test_missing_verdicts(tmp_path: Path) -> None:
    a, b = (evaluation(tmp_path / name, [row(0)]) for name in "ab")
    (b.folder / "verdicts.parquet").unlink()
    with pytest.raises(ResultsError, match=r"can't read the verdicts in .*b/verdicts\.parquet"):
        compare(a, b)


def test_two_detectors_are_compared_by_what_they_detect(tmp_path: Path) -> None:
    detecting = {"certified": False, "alert": -1}
    a = evaluation(tmp_path / "a", [row(0, detects=1, **detecting), row(1, detects=-1, **{**detecting, "alert": 3})])
    b = evaluation(tmp_path / "b", [row(0, detects=-2, **{**detecting, "alert": 1}), row(1, detects=-2, **detecting)])
    for run in (a, b):
        names = ("clean", "certified_detection", "certified_ratio", "alerts")
        accuracy = {name: Accuracy(1, 2) for name in names}
        object.__setattr__(run, "result", replace(run.result, accuracy=accuracy))
    paired = compare(a, b).paired
    assert {name: pair.only for name, pair in paired.items()} == {
        "clean": ((), ()),
        "certified_detection": ((), (1,)),
        "certified_ratio": ((), (1,)),
        "alerts": ((1,), (0,)),
    }
    show_comparison(compare(a, b), console := Console(width=100, file=io.StringIO()))
    assert "detection in B alone: 1" in console.file.getvalue()  # type: ignore[attr-defined]


def test_recovery_and_detection_are_compared_by_their_labels_alone(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", [row(0, certified=True), row(1, certified=True)])
    b = evaluation(tmp_path / "b", [row(0, certified=False, alert=-1, detects=1), row(1, certified=False, alert=-1)])
    accuracy = {name: Accuracy(1, 2) for name in ("base", "clean", "certified_detection", "alerts")}
    object.__setattr__(b, "result", replace(b.result, accuracy=accuracy))
    object.__setattr__(a, "result", replace(a.result, round_trip_note="no promise"))
    comparison = compare(a, b)
    assert list(comparison.paired) == ["clean"]
    assert comparison.unpaired == (("certified",), ("certified_detection", "alerts"))
    show_comparison(comparison, console := Console(width=100, file=io.StringIO()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "claimed by A alone, so not compared: certified\n" in text
    assert "claimed by B alone, so not compared: detection, alerts\n" in text
