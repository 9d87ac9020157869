"""Contents of a page: sections with text, tables, images and details."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mrcert_pl.views.drawing import EmbeddedImage


@dataclass(frozen=True)
class Number:
    """A cell with a number.

    Attributes:
        text: The number, or why there is none.
        details: Number of images, interval or spread, published value: one line each.
    """

    text: str
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with their subject."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Number]]


@dataclass(frozen=True)
class Details:
    """Facts that are folded away, and a longer text below them."""

    summary: str
    facts: Mapping[str, str]
    text: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Attributes:
        title: The heading.
        text: Paragraphs below it.
        tables, images, details: In this order below the text.
        size: Size of the images: ``small`` and ``medium`` ones in columns, ``wide`` ones below each other, ``own`` ones
            in their own width.
        words: Terms with their meanings, above the text.
    """

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    images: Sequence[EmbeddedImage] = ()
    details: Sequence[Details] = ()
    size: Literal["small", "medium", "wide", "own"] = "medium"
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """Anchor of the heading."""
        return "".join(character if character.isalnum() else "-" for character in self.title.lower())


def anchored(sections: Iterable[Section]) -> dict[str, Section]:
    """Return sections by anchors of which no two are equal, also where titles differ in punctuation alone."""
    found: dict[str, Section] = {}
    for section in sections:
        anchor, number = section.anchor, 1
        while anchor in found:
            number += 1
            anchor = f"{section.anchor}-{number}"
        found[anchor] = section
    return found
