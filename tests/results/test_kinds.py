"""Kinds of verdicts, and which rows are shown."""

import pytest
from result_files import row

from mrcert_pl.errors import ResultsError
from mrcert_pl.results.kinds import choose, kind_of

CERTIFIED = {"certified": True}


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"certified": True, "round_trip": True}, "round trip"),
        (CERTIFIED, "certified"),
        ({}, "correct, not certified"),
        ({"base_prediction": 0}, "correct, not certified"),
        ({"prediction": 0, "certified": True, "round_trip": True}, "misclassified"),
        ({"alert": 2, "detects": 1}, "alert"),
        ({"alert": 0, "prediction": 0}, "alert"),
        ({"alert": -1, "detects": 1}, "detection certified"),
        ({"alert": -1, "detects": 0}, "correct, not certified"),
        ({"alert": -1, "detects": 1, "prediction": 0}, "misclassified"),
    ],
)
def test_kinds(facts: dict, kind: str) -> None:
    assert kind_of(row(0, **facts)) == kind


def test_every_kind_comes_in_turn() -> None:
    rows = [row(i, **CERTIFIED) for i in range(10)] + [row(i, prediction=0) for i in range(10, 12)]
    assert [row.id for row in choose(rows, 5)] == [0, 10, 1, 11, 2]
    assert len(choose(rows, 100)) == 12
    assert choose([], 3) == []


def test_rows_by_id() -> None:
    rows = [row(i) for i in range(10)]
    assert [row.id for row in choose(rows, [7, 2])] == [7, 2]
    with pytest.raises(ResultsError, match=r"no verdicts on the images \[11\]"):
        choose(rows, [2, 11])
