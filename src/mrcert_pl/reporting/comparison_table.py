"""A comparison of two evaluations on the terminal."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mrcert_pl.reporting.compare import HEADER, LEGEND, Paired, cells, introduced
from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import titles

# Ids beyond these are left to --format csv.
_IDS = 40


def show_comparison(first: Run, second: Run, paired: Mapping[str, Paired], console: Console | None = None) -> None:
    """Print both runs, a table of what differs with the exact test, and the ids of the images."""
    console = console or Console()
    for line in introduced(first, second):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    n, names = first.result["n"], titles([])
    title = f"{first.result['dataset']}, the same {n} images: accuracy in % (number of images)"
    table = Table("", title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for heading in HEADER:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in cells(paired, n):
        table.add_row(*row)
    console.print(table)
    for name, pair in paired.items():
        for letter, ids in zip("AB", pair.only, strict=True):
            if ids:
                more = f", and {len(ids) - _IDS} more (--format csv lists all)" if len(ids) > _IDS else ""
                listed = ", ".join(map(str, ids[:_IDS])) + more
                console.print(f"{names[name]} in {letter} alone: {listed}", highlight=False, soft_wrap=True)
    console.print(LEGEND, style="dim", highlight=False)
