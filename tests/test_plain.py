"""Plain values become typed ones, or one sentence names the field that is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from mrcert_pl.plain import FieldError, Record, checked, checked_json, with_derived


@dataclass(frozen=True)
class Leaf(Record):
    DERIVED = ("double",)
    compared = with_derived(*DERIVED)

    count: Annotated[int, Field(ge=0)]

    @property
    def double(self) -> int:
        return 2 * self.count


@dataclass(frozen=True)
class Tree(Record):
    kind: Literal["a", "b"]
    first: Leaf
    second: Leaf
    size: int | str | tuple[int, int] = 1
    named: Mapping[str, tuple[float, ...]] | None = None


TREE = {"kind": "a", "first": {"count": 1, "double": 2}, "second": {"count": 3, "double": 6}, "size": [1, 2]}


def test_lists_become_tuples_and_objects_records() -> None:
    assert checked(Tree, TREE) == Tree("a", Leaf(1), Leaf(3), (1, 2))
    assert checked(list[Leaf], [{"count": 2}]) == [Leaf(2)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "c"}, "kind: must be 'a' or 'b', got 'c'"),
        ({"first": {"count": True}}, "first.count: must be a valid integer, got True"),
        ({"first": {"count": 1.0}}, "first.count: must be a valid integer, got 1.0"),
        ({"second": {"count": 1, "double": 3}}, "second: double: must be 2, got 3"),
        ({"second": {"count": 1, "triple": 3}}, "second.triple: unknown field"),
        ({"second": {}}, "second.count: missing field"),
        ({"second": 5}, "second: must be an object, got 5"),
        ({"size": None}, "size: must be a valid integer, got None"),
        ({"named": {"x": [1, float("inf")]}}, "named.x[1]: must be a finite number, got inf"),
        ({"named": {"x": ["y" * 100]}}, f"named.x[0]: must be a valid number, got '{'y' * 76}..."),
        ({"named": {"x": {1, 2}}}, "file: plain values are expected"),
    ],
)
def test_the_first_problem_names_its_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError) as error:
        checked(Tree, TREE | changes, "file")
    assert str(error.value).startswith(message if message.startswith("file") else f"file.{message}")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, b"\xff", "1" * 10_000, '"\\ud800"'])
def test_text_that_is_no_json(text: str | bytes) -> None:
    with pytest.raises(FieldError, match="Invalid JSON"):
        checked_json(Tree, text)
