"""Plain values as typed values: what is admitted, and errors that name the field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import Field

from mrcert_pl.plain import FieldError, Record, checked, checked_json, with_derived

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Box(Record):
    compared = with_derived("area")

    height: Count
    width: Count = 2

    def __post_init__(self) -> None:
        if self.height > 9:
            raise FieldError("height", "too tall")

    @property
    def area(self) -> int:
        return self.height * self.width


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (str, "a", "a"),
        (int | str, "3", "3"),
        (tuple[int, float], [1, 2.5], (1, 2.5)),
        (tuple[int, ...], [], ()),
        (Mapping[str, tuple[int, ...]], {"a": [1, 2]}, {"a": (1, 2)}),
        (Box, {"height": 3}, Box(3)),
        (Box, {"height": 3, "width": 4, "area": 12}, Box(3, 4)),
        (tuple[Box, ...], [{"height": 1}, {"height": 2}], (Box(1), Box(2))),
    ],
    ids=str,
)
def test_plain_values_become_typed_values(kind: Any, content: object, expected: object) -> None:
    made = checked(kind, content)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (int, "3", "size: must be a valid integer, got '3'"),
        (int, True, "size: must be a valid integer, got True"),
        (int, 3.0, "size: must be a valid integer, got 3.0"),
        (bool, 1, "size: must be a valid boolean, got 1"),
        (Count, -1, "size: must be greater than or equal to 0, got -1"),
        (int, None, "size: must be a valid integer, got None"),
        (tuple[Count, ...], [1, -2], r"size[1]: must be greater than or equal to 0, got -2"),
        (tuple[int, int], [1], "size[1]: missing field"),
        (Mapping[str, Count], {"a": "x"}, "size.a: must be a valid integer, got 'x'"),
        (Box, {}, "size.height: missing field"),
        (Box, {"height": 1, "depth": 2}, "size.depth: unknown field"),
        (Box, {"height": 10}, "size: height: too tall"),
        (Box, {"height": 3, "area": 7}, "size: area: must be 6, got 7"),
        (tuple[Box, ...], [{"height": 1}, {"height": "1"}], "size[1].height: must be a valid integer, got '1'"),
    ],
    ids=str,
)
def test_other_values_are_refused_by_field(kind: Any, content: object, message: str) -> None:
    with pytest.raises(FieldError) as error:
        checked(kind, content, "size")
    assert str(error.value) == message


def test_without_a_name_the_error_is_the_problem_alone() -> None:
    with pytest.raises(FieldError, match=r"^must be a valid integer, got 'x'$"):
        checked(int, "x")
    with pytest.raises(FieldError, match=r"^height: missing field$"):
        checked(Box, {})


def test_a_field_error_is_a_value_error_with_field_and_problem() -> None:
    assert str(FieldError("a", "is wrong")) == "a: is wrong"
    assert str(FieldError("", "is wrong")) == "is wrong"
    assert issubclass(FieldError, ValueError)


def test_the_value_in_an_error_is_short() -> None:
    with pytest.raises(FieldError) as error:
        checked(int, "x" * 5000, "size")
    assert str(error.value).startswith("size: must be a valid integer, got 'xxx")
    assert len(str(error.value)) < 130


@pytest.mark.parametrize("content", [object(), {1, 2}, {"a": b"x"}], ids=["object", "set", "bytes"])
def test_values_that_json_lacks_are_refused(content: object) -> None:
    with pytest.raises(FieldError, match=r"^size: plain values are expected: "):
        checked(Mapping[str, Any], content, "size")


def test_values_that_contain_themselves_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(FieldError, match=r"^size: plain values are expected: "):
        checked(tuple[Any, ...], endless, "size")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_records_hold_finite_numbers(number: float) -> None:
    @dataclass(frozen=True)
    class Cost(Record):
        seconds: float

    with pytest.raises(FieldError, match=r"^seconds: must be a finite number, got "):
        checked(Cost, {"seconds": number})


def test_json_text_is_checked_like_values() -> None:
    assert checked_json(Box, '{"height": 3}') == checked_json(Box, b'{"height": 3}') == Box(3)
    with pytest.raises(FieldError, match=r"^box\.height: must be a valid integer, got '3'$"):
        checked_json(Box, '{"height": "3"}', "box")


@pytest.mark.parametrize("text", ["", "{", '{"height": 3} more', b"\xff\xfe"])
def test_text_that_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(FieldError, match=r"^file: Invalid JSON: ") as error:
        checked_json(Box, text, "file")
    assert "got" not in str(error.value)


def test_derived_properties_of_something_else_than_an_object() -> None:
    with pytest.raises(FieldError, match=r"^box: must be .*, got \[3\]$"):
        checked(Box, [3], "box")
    whole = Box(3)
    assert whole.area == 6


def test_derived_properties_of_two_fields_of_one_kind() -> None:
    @dataclass(frozen=True)
    class Pair(Record):
        first: Box
        second: Box
        size: int | str | tuple[int, int] = 1

    content = {"first": {"height": 1, "area": 2}, "second": {"height": 3, "area": 6}, "size": [1, 2]}
    assert checked(Pair, content) == Pair(Box(1), Box(3), (1, 2))
    with pytest.raises(FieldError, match=r"^second: area: must be 6, got 5$"):
        checked(Pair, {**content, "second": {"height": 3, "area": 5}})
    with pytest.raises(FieldError, match=r"^size: must be a valid integer, got None$"):
        checked(Pair, {**content, "size": None})
