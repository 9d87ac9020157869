"""A comparison of two evaluations on the terminal."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mrcert_pl.reporting.compare import Paired
from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import patch_text, percent, titles

# Ids beyond these are left to --format csv.
_IDS = 40


def show_comparison(first: Run, second: Run, paired: Mapping[str, Paired], console: Console | None = None) -> None:
    """Print both runs, a table of what differs with the exact test, and the ids of the images."""
    console = console or Console()
    n = first.result["n"]
    for letter, run in zip("AB", (first, second), strict=True):
        result = run.result
        console.print(
            f"{letter}: {result['defender']}, {result['model']}, patch {patch_text(result['patch'])}, "
            f"seed {result['seed']}: {run.folder}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    console.print(comparison_table(paired, f"{first.result['dataset']}, the same {n} images: accuracy in %", n))
    names = titles([first.result])
    for name, pair in paired.items():
        for letter, ids in zip("AB", pair.only, strict=True):
            if ids:
                more = f", and {len(ids) - _IDS} more (--format csv lists all)" if len(ids) > _IDS else ""
                listed = ", ".join(map(str, ids[:_IDS])) + more
                console.print(f"{names[name]} in {letter} alone: {listed}", highlight=False, soft_wrap=True)
    console.print(
        "(number of images); p: McNemar's exact test, two-sided; with a p of 0.05 or more chance alone may explain "
        "the difference",
        style="dim",
        highlight=False,
    )


def comparison_table(paired: Mapping[str, Paired], title: str, n: int) -> Table:
    """Accuracies of both runs, the images that only one has, and the p-value of the difference."""
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for heading in ("A", "B", "B - A", "A alone", "B alone", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    names = titles([])
    for name, pair in paired.items():
        a, b = pair.counts
        shares = [f"{percent(count / n)} ({count})" for count in pair.counts]
        alone = [str(len(ids)) for ids in pair.only]
        table.add_row(names[name], *shares, f"{100 * (b - a) / n:+.1f}", *alone, f"{pair.p_value:.2g}")
    return table
