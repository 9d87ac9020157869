"""Results as tables on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mrcert_pl.reporting.summary import (
    Result,
    grouped,
    legend,
    mutants_text,
    patch_text,
    seeds_text,
    share_text,
    titles,
)


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
    table.add_column("defender", no_wrap=True)
    accuracies = titles(results)
    for name, heading in accuracies.items():
        table.add_column(heading, justify="right", no_wrap=name != "adversarial_certified")
    table.add_column("mutants", justify="right", no_wrap=True)
    seeds = any("seeds" in result for result in results)
    if seeds:
        table.add_column("seeds", justify="right")
    for result in results:
        shares = (escape(share_text(result["accuracy"].get(name), one["n"])) for name in accuracies)
        table.add_row(result["defender"], *shares, mutants_text(result), *([seeds_text(result)] if seeds else []))
    return table
