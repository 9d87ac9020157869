"""The codec reads what it writes and refuses everything else with one error that names file and field."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrcert_pl.errors import ResultsError
from mrcert_pl.plain import FieldError, Record, with_derived
from mrcert_pl.results.codec import Amount, Count, Document, Fraction, Settings


@dataclass(frozen=True)
class Part(Record):
    DERIVED = ("double",)
    compared = with_derived(*DERIVED)

    count: Count
    n: Count = 3

    def __post_init__(self) -> None:
        if self.count > self.n:
            raise FieldError("count", "too many")

    @property
    def double(self) -> int:
        return 2 * self.count


@dataclass(frozen=True)
class Whole(Document):
    KIND = "whole"
    COMMAND = "make whole"

    name: str
    patch: int | str | tuple[int | str, ...]
    parts: Mapping[str, Part]
    sizes: tuple[Count, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    fraction: Fraction | None = None
    cost: Amount = 0.0
    flag: bool = False
    config: Settings = field(default_factory=dict)

    @classmethod
    def upgrade(cls, content: dict[str, Any]) -> dict[str, Any]:
        return {"name": content["old_name"], "patch": 1, "parts": {}}


WHOLE = Whole("a", ("16x48", 3), {"x": Part(1)}, (1, 2), (4, 5.0), 0.5, 7.0, True, {"any": [None, {"b": 1.5}]})


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(WHOLE.to_json()), **fields})


def test_what_is_written_is_read() -> None:
    assert Whole.from_json(WHOLE.to_json(), "file") == WHOLE
    content = json.loads(WHOLE.to_json())
    assert (content["format"], content["kind"], content["parts"]["x"]) == (
        2,
        "whole",
        {"count": 1, "n": 3, "double": 2},
    )


def test_fields_with_a_default_may_be_missing() -> None:
    text = json.dumps({"format": 2, "kind": "whole", "name": "a", "patch": 1, "parts": {"x": {"count": 1}}})
    assert Whole.from_json(text, "file") == Whole("a", 1, {"x": Part(1)})


def test_version_1_is_translated() -> None:
    assert Whole.from_json('{"old_name": "a"}', "file") == Whole("a", 1, {})
    with pytest.raises(ResultsError, match=r"file is not a valid result of make whole \(version 1 without"):
        Whole.from_json('{"format": 1}', "file")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": 1}, "name: must be a valid string, got 1"),
        ({"flag": 1}, "flag: must be a valid boolean, got 1"),
        ({"sizes": [1, -1]}, r"sizes\[1\]: must be greater than or equal to 0, got -1"),
        ({"sizes": [True]}, r"sizes\[0\]: must be a valid integer, got True"),
        ({"sizes": 3}, "sizes: must be a valid array, got 3"),
        ({"pair": [1]}, r"pair\[1\]: missing field"),
        ({"fraction": 1.5}, "fraction: must be less than or equal to 1, got 1.5"),
        ({"fraction": "1"}, "fraction: must be a valid number, got '1'"),
        ({"cost": float("nan")}, "cost: must be a finite number, got nan"),
        ({"cost": 10**400}, "cost: must be a finite number"),
        ({"patch": None}, "patch: "),
        ({"patch": {"a": 1}}, "patch: "),
        ({"parts": []}, "parts: must be an object"),
        ({"parts": {"x": {}}}, r"parts\.x\.count: missing field"),
        ({"parts": {"x": {"count": 1, "other": 2}}}, r"parts\.x\.other: unknown field"),
        ({"parts": {"x": {"count": 4}}}, r"parts\.x: count: too many"),
        ({"parts": {"x": {"count": 1, "double": 3}}}, r"parts\.x: double: must be 2, got 3"),
        ({"extra": 1}, "extra: unknown field"),
        ({"kind": "other"}, "kind: 'whole' is expected, found 'other'"),
        ({"format": 3}, "format: version 3 is not one"),
        ({"format": True}, "format: version True is not one"),
        ({"format": None}, "format: version None is not one"),
    ],
)
def test_other_values_are_refused_by_name(fields: dict, message: str) -> None:
    with pytest.raises(ResultsError, match=rf"^here\.json is not a valid result of make whole \({message}"):
        Whole.from_json(changed(**fields), "here.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = st.sampled_from(["format", "kind", *Whole.__dataclass_fields__])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(FIELDS, JSON, max_size=4), st.sets(FIELDS, max_size=2))
def test_no_content_raises_anything_else(fields: dict, removed: set) -> None:
    content = {name: value for name, value in json.loads(changed(**fields)).items() if name not in removed}
    try:
        read = Whole.from_json(json.dumps(content), "file")
    except ResultsError:
        return
    # What is accepted is written again without loss.
    assert Whole.from_json(read.to_json(), "file").name == read.name


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    with pytest.raises(ResultsError, match=r"^file is "):
        Whole.from_json(content, "file")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    file = WHOLE.write(tmp_path / "whole.json")
    before = file.read_text()
    with pytest.raises(TypeError):
        Whole("a", 1, {}, config={"x": object()}).write(file)
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ResultsError, match=r"can't write .*choose another paths\.output_dir"):
        WHOLE.write(file / "whole.json")


def test_numbers_that_json_lacks_become_text() -> None:
    whole = Whole("a", 1, {}, config={"limit": float("inf")})
    assert Whole.from_json(whole.to_json(), "file").config == {"limit": "inf"}
