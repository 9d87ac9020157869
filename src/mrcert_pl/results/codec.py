"""Frozen dataclasses as JSON: written as plain values, read with every type, range and field name checked."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import Field

from mrcert_pl.errors import ResultsError, short
from mrcert_pl.files import write_whole
from mrcert_pl.plain import FieldError, Record, checked

Settings: TypeAlias = Mapping[str, Any]
"""Plain values that are kept for the reader and not interpreted."""


Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]

DocumentT = TypeVar("DocumentT", bound="Document")


def no_version_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse version 1."""
    raise FieldError("format", "there is no version 1 of this schema")


class Document(Record):
    """A frozen dataclass that one file holds, with the kind and the version of its schema.

    Attributes:
        KIND: value of the field ``kind`` in the file.
        VERSION: version of the schema that is written.
        COMMAND: command that writes the file, for errors.
        upgrade: function that translates version 1; anything that it raises counts as a damaged file.
    """

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str]
    upgrade: ClassVar[Callable[..., dict[str, Any]]] = staticmethod(no_version_1)

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
                raise FieldError("", f"a JSON object is expected, found {short(repr(content))}")
            version = content.get("format", 1)
            if version == 1 and type(version) is int:
                content = _upgraded(cls, content)
            elif version != cls.VERSION or type(version) is not int:
                raise FieldError("format", f"version {short(repr(version))} is not one that this mrcert_pl reads")
            elif content.get("kind") != cls.KIND:
                raise FieldError("kind", f"{cls.KIND!r} is expected, found {short(repr(content.get('kind')))}")
            content = {name: value for name, value in content.items() if name not in ("format", "kind")}
            decoded: DocumentT = checked(cls, content)
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
        names = [*(field.name for field in fields(value)), *getattr(value, "DERIVED", ())]
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): encode(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _upgraded(cls: type[Document], content: dict[str, Any]) -> dict[str, Any]:
    try:
        return cls.upgrade({name: value for name, value in content.items() if name != "format"})
    except FieldError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        missing = f"the field {error}" if isinstance(error, KeyError) else "fields of their types"
        raise FieldError("", f"version 1 without {missing}") from error
