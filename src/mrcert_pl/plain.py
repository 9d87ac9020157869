"""Plain values of files as typed values, every type, range and field name checked by pydantic."""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mrcert_pl.errors import short

_MESSAGES = {"missing": "missing field", "unexpected_keyword_argument": "unknown field"}
# Members of a union stand in the location of an error.
_MEMBER = re.compile(r"int|str|float|bool|.*\[.*")


class FieldError(ValueError):
    """A value that its field does not admit."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)


class Record:
    """Base class of frozen dataclasses that are read from files."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def with_derived(*names: str) -> Any:
    """Validator of a record of scalars: properties that stand in its file beside the fields are compared."""

    def compare(cls: type, content: Any, make: Callable[[Any], Any]) -> Any:
        if not isinstance(content, dict):
            return make(content)
        made = make({name: value for name, value in content.items() if name not in names})
        for name in names:
            if name in content and content[name] != getattr(made, name):
                raise FieldError(name, f"must be {getattr(made, name)}, got {short(repr(content[name]))}")
        return made

    # A method of the class that the validator stands in.
    method: Any = classmethod(compare)
    return model_validator(mode="wrap")(method)


def checked(kind: Any, content: object, field: str = "") -> Any:
    """Return plain values as ``kind``, of which JSON knows lists and objects only.

    Args:
        kind: Scalar type, ``Annotated`` with pydantic's constraints, union, tuple, mapping or :class:`Record`.
        content: Values from a file.
        field: Name of the value, for errors.

    Raises:
        FieldError: If a value is of another type, out of range, missing or unknown; names the field.
    """
    try:
        text = json.dumps(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise FieldError(field, f"plain values are expected: {error}") from error
    return checked_json(kind, text, field)


def checked_json(kind: Any, text: str | bytes, field: str = "") -> Any:
    """Return the values of a JSON text as ``kind``, as :func:`checked`."""
    try:
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise _translated(error.errors(include_url=False)[0], field) from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _translated(error: ErrorDetails, field: str) -> FieldError:
    for part in error["loc"]:
        if isinstance(part, int):
            field = f"{field}[{part}]"
        elif not _MEMBER.fullmatch(part):
            field = f"{field}.{part}" if field else part
    if error["type"] == "value_error":
        return FieldError(field, str(error["ctx"]["error"]))
    message = _MESSAGES.get(error["type"], re.sub(r"^\w+ (should|must)", "must", error["msg"]))
    known = error["type"] in _MESSAGES or error["type"] == "json_invalid"
    return FieldError(field, message if known else f"{message}, got {short(repr(error['input']))}")
