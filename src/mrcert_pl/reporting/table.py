"""Results as tables on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mrcert_pl.reporting.summary import Result, are_published, cells, grouped, legend, patch_text


def show(results: Sequence[Result], console: Console | None = None) -> None:
    """Print one table per data set, model, patch and number of images, and what the figures mean."""
    console = console or Console()
    for group in grouped(results, "dataset", "model", "patch", "n"):
        console.print(results_table(group))
    for line in legend(results):
        console.print(line, style="dim", highlight=False, markup=False)


def results_table(results: Sequence[Result]) -> Table:
    """Defenders on the same images, a row each: shares in per cent with the number of images, published ones beside."""
    one = results[0]
    title = f"{one['dataset']}, {one['model']}, patch {patch_text(one['patch'])}, {one['n']} images: accuracy in %"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    header, rows = cells(results)
    table.add_column(header[0], no_wrap=True)
    for heading in header[1:]:
        wraps = are_published(results) or heading in ("adv. certified", "seeds")
        table.add_column(heading, justify="right", no_wrap=not wraps)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
