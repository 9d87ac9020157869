"""What a page is made of: sections with text, tables, pictures and details."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mrcert_pl.reporting.page.svg import Picture


@dataclass(frozen=True)
class Share:
    """A cell with an accuracy.

    Attributes:
        share: in per cent, or why there is none.
        details: number of images, interval or spread, published figure: one line each.
    """

    share: str
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with what they are about."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Share]]


@dataclass(frozen=True)
class Details:
    """Facts that are shown when they are asked for, and a longer text below them."""

    summary: str
    facts: Mapping[str, str]
    text: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    Attributes:
        title: the heading.
        text: paragraphs below it.
        tables, pictures, details: in this order below the text.
        size: of the pictures: ``small`` and ``medium`` ones stand in columns, ``wide`` ones below each other,
            ``own`` ones are as wide as they are.
        words: explained above the text.
    """

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    details: Sequence[Details] = ()
    size: Literal["small", "medium", "wide", "own"] = "medium"
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        return "".join(character if character.isalnum() else "-" for character in self.title.lower())
