"""A setting that does not fit is an error of one sentence."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.tasks.checks import check_choice, check_flag, check_mapping, check_number, check_store, check_stride


def test_numbers() -> None:
    check_number("a", 1, 1)
    check_number("a", None, 1, optional=True)
    check_number("a", 0.5, 0.5, whole=False)
    check_number("a", 2, 1, at_most=2)
    for bad in (None, "1", 0, 1.0):
        with pytest.raises(ConfigurationError, match="a must be a whole number of at least 1"):
            check_number("a", bad, 1)
    with pytest.raises(ConfigurationError, match="a must be at most 2, got 3"):
        check_number("a", 3, 1, at_most=2)
    with pytest.raises(ConfigurationError, match="unknown a 'c'; choose one of: b"):
        check_choice("a", "c", ["b"])


def test_values_of_other_kinds_that_fit() -> None:
    check_flag("a", False)
    check_mapping("a", {})
    check_choice("a", "b", ["b"])
    check_stride([2, 1])
    check_stride(None, optional=True)
    for store in (None, "last", Path("tables")):
        check_store(store)


@pytest.mark.parametrize(
    ("check", "bad", "message"),
    [
        (partial(check_flag, "a"), 1, "a must be true or false, got 1"),
        (partial(check_mapping, "a"), "b", "a must have names and values"),
        (check_stride, [1, 2, 3], "stride must be a whole number of at least 1, or two of them"),
        (check_stride, "12", "stride must be"),
        (check_stride, None, "stride must be"),
        (check_store, "", "store must be a folder or last"),
    ],
)
def test_values_of_other_kinds_that_do_not(check: Callable[[object], None], bad: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check(bad)
