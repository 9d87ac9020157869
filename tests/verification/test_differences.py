"""Differences: values of other types differ, and a tolerance is for numbers alone."""

from typing import Any

import pytest

from mrcert_pl.verification.differences import Differences, plain


def differs(written: Any, computed: Any, tolerance: float = 0.0) -> bool:
    found = Differences()
    found.expect(7, "field", written, computed, tolerance)
    recorded = [(d.image_id, d.field, d.written, d.computed) for d in found]
    assert recorded in ([], [(7, "field", written, computed)])
    return bool(recorded)


@pytest.mark.parametrize(
    ("written", "computed", "expected"),
    [
        (1, 1, False),
        (1, 2, True),
        (1, 1.0, True),
        (True, 1, True),
        (None, None, False),
        (None, 0, True),
        ("a", "b", True),
    ],
)
def test_equal_values_of_equal_type(written: Any, computed: Any, expected: bool) -> None:
    assert differs(written, computed) is expected


@pytest.mark.parametrize(
    ("written", "computed", "expected"),
    [(1.0, 1.5, False), (1.5, 1.0, False), (1, 1.5, False), (1.0, 1.75, True), (1.75, 1.0, True), (None, 0.0, True)],
)
def test_a_tolerance_includes_its_ends(written: Any, computed: Any, expected: bool) -> None:
    assert differs(written, computed, tolerance=0.5) is expected
    assert differs("1", "2", tolerance=0.5)


def test_tuples_become_lists_at_every_depth() -> None:
    assert plain(((1, "ab"), [2, (3,)])) == [[1, "ab"], [2, [3]]]
    assert plain("ab") == "ab"
