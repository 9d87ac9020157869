"""Tables that fit the terminal: no word and no number is clipped."""

import re
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from mrcert_pl.views.words import printable

# Wider than any terminal.
_ANY = 10_000
# Line breaks of a cell: before the number of images, before a published value, between values of a list.
_BREAK = re.compile(r" (?=[(\[])|(?<= /) ")


def show_table(
    console: Console,
    title: str | None,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    names: int = 1,
    styles: Sequence[str | None] | None = None,
) -> None:
    """Print a table in the widest form that fits the terminal.

    The forms: one line per row; cells of several lines; two lines of text per row, ``heading value, heading value``.

    Args:
        console: Terminal.
        title: Line above the table.
        header: Headings of the columns.
        rows: Cells, one for each heading.
        names: Number of columns that name a row; the others are numbers.
        styles: Style of each row.
    """
    styles = styles or [None] * len(rows)
    rows = [[printable(cell) for cell in row] for row in rows]
    if title is not None:
        console.print(f"\n{printable(title)}", style="bold", highlight=False, markup=False)
    for pad, broken in ((1, False), (0, False), (0, True)):
        table = Table(box=SIMPLE_HEAD, padding=(0, pad, 0, 1))
        for place, heading in enumerate(header):
            table.add_column(escape(heading), justify="left" if place < names else "right")
        for row, style in zip(rows, styles, strict=True):
            cells = row if not broken else [*row[:names], *(_BREAK.sub("\n", cell) for cell in row[names:])]
            table.add_row(*map(escape, cells), style=style)
        if Measurement.get(console, console.options.update(max_width=_ANY), table).maximum <= console.width:
            console.print(table)
            return
    for row, style in zip(rows, styles, strict=True):
        texts = [f"{heading} {cell}".strip() if cell else "" for heading, cell in zip(header, row, strict=True)]
        name = row[0] if names == 1 else ", ".join(filter(None, texts[:names]))
        numbers = ", ".join(filter(None, texts[names:]))
        console.print(f"{name}\n    {numbers}", style=style, highlight=False, markup=False)
