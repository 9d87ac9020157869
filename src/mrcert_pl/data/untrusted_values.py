"""Types of values in files from untrusted input: plain values of checked ranges, which nothing executes."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from mrcert_pl.errors import short
from mrcert_pl.plain import FieldError, Record

OPEN = Record.__pydantic_config__ | ConfigDict(extra="ignore")
"""Configuration of a record whose unknown fields are not read."""


def printable(text: str) -> str:
    """Check that a text is printable and not empty."""
    if not text or not text.isprintable():
        raise FieldError("", f"must be printable text, got {short(repr(text))}")
    return text


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Check that there are values, and no two of them equal."""
    if not values or len(set(values)) != len(values):
        raise FieldError("", "must be a list of different values, and not empty")
    return values


def plain(value: Any) -> Any:
    """Check that a value consists of scalars, lists and mappings, without any instruction for Hydra or OmegaConf.

    Raises:
        FieldError: for a key that starts with ``_`` (``_target_``), an interpolation (``${``) or another type.
    """
    if isinstance(value, Mapping):
        if bad := [key for key in value if not isinstance(key, str) or key.startswith("_") or "${" in key]:
            raise FieldError("", f"has the key {bad[0]!r}, which is not allowed")
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, str) and "${" in value:
        raise FieldError("", f"has the interpolation {value!r}, which is not allowed")
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise FieldError("", f"must hold plain values, got {short(repr(value))}")


Text = Annotated[str, AfterValidator(printable)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
NameOrNone = Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.+-]*)?$")]
Plain = Annotated[Mapping[str, Any], AfterValidator(plain)]
Id = Annotated[int, Field(ge=0, lt=2**63)]
Number = Annotated[int, Field(ge=0, lt=2**31)]
Side = Annotated[int, Field(ge=1, lt=2**31)]
