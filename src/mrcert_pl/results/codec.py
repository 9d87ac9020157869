"""Frozen dataclasses as JSON: written as plain values, read with every type, range and field name checked."""

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole

Settings: TypeAlias = Mapping[str, Any]
"""Plain values that are kept for the reader and not interpreted."""


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included."""

    low: float
    high: float = math.inf


Count = Annotated[int, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
Amount = Annotated[float, Range(0)]


class FieldError(ValueError):
    """A value that its field does not admit."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)


DocumentT = TypeVar("DocumentT", bound="Document")


class Document:
    """A frozen dataclass that one file holds, with the kind and the version of its schema.

    Attributes:
        KIND: value of the field ``kind`` in the file.
        VERSION: version of the schema that is written.
        COMMAND: command that writes the file, for errors.
    """

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str]

    @classmethod
    def upgrade(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Translate the content of version 1 into the present one; anything it raises counts as a damaged file."""
        raise FieldError("format", "there is no version 1 of this schema")

    def to_json(self) -> str:
        """Return the document as indented JSON."""
        content = {"format": self.VERSION, "kind": self.KIND, **encode(self)}
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls: type[DocumentT], text: str | bytes, file: str | Path) -> DocumentT:
        """Return the document of a text.

        Args:
            text: Content of the file.
            file: Name of the file, for errors.

        Raises:
            ResultsError: If the text is not JSON, or a field is missing, unknown, of another type or out of range.
        """
        return cls.from_plain(parse(text, file, cls.COMMAND), file)

    @classmethod
    def from_plain(cls: type[DocumentT], content: object, file: str | Path) -> DocumentT:
        """Return the document of parsed JSON, as :meth:`from_json`."""
        try:
            if not isinstance(content, dict):
                raise FieldError("", f"a JSON object is expected, found {_short(content)}")
            version = content.get("format", 1)
            if version == 1 and type(version) is int:
                content = _upgraded(cls, content)
            elif version != cls.VERSION or type(version) is not int:
                raise FieldError("format", f"version {_short(version)} is not one that this mrcert_pl reads")
            elif content.get("kind") != cls.KIND:
                raise FieldError("kind", f"{cls.KIND!r} is expected, found {_short(content.get('kind'))}")
            content = {name: value for name, value in content.items() if name not in ("format", "kind")}
            decoded: DocumentT = decode(cls, content)
        except (FieldError, RecursionError) as error:
            raise ResultsError(
                f"{file} is not a valid result of {cls.COMMAND} ({error}); remove it or run {cls.COMMAND} again"
            ) from error
        return decoded

    def write(self, path: Path) -> Path:
        """Write the document as one file, whole or not at all.

        Raises:
            ResultsError: If the file cannot be written.
        """
        text = self.to_json()
        return write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls: type[DocumentT], path: Path) -> DocumentT:
        """Read the document from a file, as :meth:`from_json`."""
        return cls.from_json(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        ResultsError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror or error}") from error


def parse(text: str | bytes, file: str | Path, command: str) -> object:
    """Return the plain values of a JSON text.

    Raises:
        ResultsError: If it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{file} is damaged ({error}); remove it or run {command} again") from error


def encode(value: Any) -> Any:
    """Return a value as plain values: dataclasses and mappings as objects, tuples as lists, other numbers as text."""
    if is_dataclass(value):
        names = [*(field.name for field in fields(value)), *_derived(value)]
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): encode(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def decode(kind: Any, value: object, field: str = "") -> Any:
    """Return a plain value as ``kind``.

    Args:
        kind: Scalar type, ``Annotated`` with a :class:`Range`, union, tuple, mapping or dataclass.
        value: Value from a file.
        field: Name of the field, for errors.

    Raises:
        FieldError: If the value is of another type, out of range, or lacks a field, naming the field.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        return _within(decode(arguments[0], value, field), arguments[1], field)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, field)
    if origin is tuple:
        return _sequence(arguments, value, field)
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, dict), "an object", value, field)
        return {name: decode(arguments[1], part, _inside(field, name)) for name, part in _items(value)}
    if is_dataclass(kind):
        return _record(kind, value, field)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    _expect(type(value) is kind, _NAMES.get(kind, str(kind)), value, field)
    if kind is float and not math.isfinite(value):  # type: ignore[arg-type]  # checked to be a float above
        raise FieldError(field, f"a finite number is expected, found {value}")
    return value


_NAMES: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "a text",
    bool: "a boolean",
    type(None): "null",
}


def _record(kind: Any, value: object, field: str) -> Any:
    _expect(isinstance(value, dict), "an object", value, field)
    content, hints = dict(_items(value)), get_type_hints(kind, include_extras=True)
    derived = {name: content.pop(name) for name in _derived(kind) if name in content}
    if other := sorted(content.keys() - {known.name for known in fields(kind)}):
        raise FieldError(_inside(field, other[0]), "unknown field")
    found = {}
    for known in fields(kind):
        if known.name in content:
            found[known.name] = decode(hints[known.name], content[known.name], _inside(field, known.name))
        elif known.default is MISSING and known.default_factory is MISSING:
            raise FieldError(_inside(field, known.name), "missing field")
    try:
        made = kind(**found)
    except ValueError as error:
        raise FieldError(field, str(error)) from error
    for name, written in derived.items():
        if written != getattr(made, name):
            raise FieldError(_inside(field, name), f"must be {getattr(made, name)}, got {_short(written)}")
    return made


def _derived(kind: Any) -> tuple[str, ...]:
    """Names of the properties that stand in the file beside the fields; a reader compares them."""
    return getattr(kind, "DERIVED", ())


def _sequence(arguments: tuple[Any, ...], value: object, field: str) -> tuple[Any, ...]:
    _expect(isinstance(value, (list, tuple)), "a list", value, field)
    parts: list[Any] = list(value)  # type: ignore[call-overload]  # checked to be a sequence above
    if arguments[-1] is Ellipsis:
        kinds = [arguments[0]] * len(parts)
    elif len(parts) == len(arguments):
        kinds = list(arguments)
    else:
        raise FieldError(field, f"{len(arguments)} values are expected, found {len(parts)}")
    return tuple(decode(k, part, f"{field}[{i}]") for i, (k, part) in enumerate(zip(kinds, parts, strict=True)))


def _one_of(kinds: tuple[Any, ...], value: object, field: str) -> Any:
    problem: FieldError | None = None
    for kind in kinds:
        try:
            return decode(kind, value, field)
        except FieldError as error:
            # The problem of the only alternative to null says more than a list of both.
            problem = error if kind is not type(None) and (problem is None or len(kinds) == 2) else problem
    assert problem is not None
    raise problem


def _within(value: Any, allowed: Range, field: str) -> Any:
    if value is not None and not allowed.low <= value <= allowed.high:
        bounds = f"at least {allowed.low:g}" if allowed.high == math.inf else f"{allowed.low:g} to {allowed.high:g}"
        raise FieldError(field, f"must be {bounds}, got {_short(value)}")
    return value


def _upgraded(cls: type[Document], content: dict[str, Any]) -> dict[str, Any]:
    try:
        return cls.upgrade({name: value for name, value in content.items() if name != "format"})
    except FieldError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FieldError("", f"version 1 without what it must have: {error!r}") from error


def _expect(holds: bool, what: str, value: object, field: str) -> None:
    if not holds:
        raise FieldError(field, f"{what} is expected, found {_short(value)}")


def _items(value: Any) -> list[tuple[str, object]]:
    return list(value.items())


def _inside(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
