import math
from typing import Any

import pytest

from mrcert_pl.data.untrusted_values import Id, Name, NameOrNone, Side, Text, distinct, plain
from mrcert_pl.plain import FieldError, checked


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "a", [1, ["b"]], {"a": {"b": [None]}}])
def test_plain_values_stay_as_they_are(value: object) -> None:
    assert plain(value) == value


def test_a_tuple_becomes_a_list() -> None:
    assert plain({"a": (1, (2, 3))}) == {"a": [1, [2, 3]]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"_target_": "os.system"}, "has the key '_target_'"),
        ([{"a": {"_args_": []}}], "has the key '_args_'"),
        ({"${oc.env:HOME}": 1}, "has the key"),
        ({1: 2}, "has the key 1, which is not allowed"),
        (["a ${b}"], "has the interpolation 'a \\${b}'"),
        (math.nan, "must hold plain values, got nan"),
        (math.inf, "must hold plain values, got inf"),
        ([b"a"], "must hold plain values"),
        ({"a": {1}}, "must hold plain values"),
    ],
)
def test_instructions_and_other_types_are_refused(value: object, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        plain(value)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Text, ["a b", "é"], ["", "a\nb", "a\x1b[2J", 1]),
        (Name, ["a", "0.b_c+d-e"], ["", "../a", "-a", "a b", "a\n"]),
        (NameOrNone, ["", "cpu"], [" ", "../x", "cpu\n"]),
        (Id, [0, 2**63 - 1], [-1, 2**63, 1.0, True]),
        (Side, [1], [0, 2**31]),
    ],
)
def test_the_ranges_of_values(kind: Any, good: list[object], bad: list[object]) -> None:
    assert [checked(kind, value) for value in good] == good
    for value in bad:
        with pytest.raises(FieldError):
            checked(kind, value)


def test_values_are_distinct() -> None:
    assert distinct((1, 2)) == (1, 2)
    for values in ((), (1, 1)):
        with pytest.raises(FieldError, match="different values, and not empty"):
            distinct(values)
