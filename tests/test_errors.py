"""Errors that a user can fix."""

import pytest

from mrcert_pl import errors
from mrcert_pl.errors import ConfigurationError, MRCertError, differences, unknown


def test_all_errors_have_one_base() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 6
    assert all(issubclass(kind, MRCertError) for kind in kinds)


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigurationError, match="unknown defender 'x'; choose one of: a, b"):
        raise unknown("defender", "x", ["b", "a"])


def test_differences_are_listed_by_name() -> None:
    assert differences({"a": 1, "b": 2}, {"b": 2, "c": "x" * 100}, "in the store") == [
        "a: 1 in the store, None here",
        f"c: None in the store, {'x' * 77}... here",
    ]
