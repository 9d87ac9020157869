"""Results as tables on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mrcert_pl.results.compare import Comparison
from mrcert_pl.results.labels import by_subject, patch_text
from mrcert_pl.results.schema import (
    AttackResult,
    BenchmarkRow,
    CertificateAuditResult,
    CrossResult,
    NumericsResult,
    ThresholdResult,
    VerificationReport,
)
from mrcert_pl.results.seeds import AnyResult
from mrcert_pl.views.comparison import HEADER, LEGEND, comparison_cells, introduction
from mrcert_pl.views.tables import show_table
from mrcert_pl.views.words import (
    ALL_TITLES,
    TITLES_OF_CROSSING,
    accuracy_text,
    audit_counts,
    audited_text,
    cells,
    families,
    legend,
    printable,
    titles,
)

# Longer lists are cut; the files have all of them.
_MOST_IDS, _MOST_DIFFERENCES = 40, 20


def show_results(results: Sequence[AnyResult], console: Console | None = None) -> None:
    """Print one table per data set, model, patch and number of images, and explain the numbers."""
    console = console or Console()
    for group in by_subject(results, "dataset", "model", "patch", "n"):
        for part in families(group):
            _show_accuracies(part, console)
    _explain(console, *legend(results))


def _show_accuracies(results: Sequence[AnyResult], console: Console) -> None:
    """Print a table of defenders on the same images, one row each."""
    one = results[0]
    title = f"{one.dataset}, {one.model}, patch {patch_text(one.patch)}, {one.n} images: accuracy in %"
    show_table(console, title, *cells(results))


def show_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print both runs, a table of their differences with the exact test, and the ids of the images that differ."""
    console = console or Console()
    for line in introduction(comparison):
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)
    dataset = comparison.results[0].dataset
    title = f"{dataset}, the same {comparison.n} images: accuracy in % (number of images)"
    show_table(console, title, ["", *HEADER], comparison_cells(comparison))
    for name, pair in comparison.paired.items():
        for letter, ids in zip("AB", pair.only, strict=True):
            if ids:
                more = len(ids) - _MOST_IDS
                tail = f", and {more} more (--format csv lists all)" if more > 0 else ""
                listed = ", ".join(map(str, ids[:_MOST_IDS])) + tail
                console.print(f"{ALL_TITLES[name]} in {letter} alone: {listed}", highlight=False, soft_wrap=True)
    _explain(console, LEGEND)


def show_cross(result: CrossResult, console: Console | None = None) -> None:
    """Print what two defenders that check each other certify."""
    console = console or Console()
    title = f"{result.dataset}, patch {patch_text(result.patch)}, {result.n} images: in %"
    names = {name: heading for name, heading in TITLES_OF_CROSSING.items() if name in result.accuracy}
    row = [accuracy_text(result.accuracy[name], result.n) for name in names]
    show_table(console, title, ["label, checked by", *names.values()], [[", ".join(result.defenders), *row]])
    _explain(
        console,
        "detection: the label is correct, and every patched version has it or raises an alert; "
        "unwavering: and none raises an alert; ratio: the same for the true label, whatever the label is; "
        "alerts: the second defender has another label",
    )


def show_audit(result: CertificateAuditResult, console: Console | None = None) -> None:
    """Print what attacks on certificates have tried and broken."""
    console = console or Console()
    console.print(
        f"{result.defender}: {audited_text(result)}, patches at {result.placements} locations",
        highlight=False,
        style="bold",
    )
    header, counts = audit_counts(result)
    rows = [[attack.name, *map(_count, counts(attack))] for attack in result.attacks]
    show_table(console, None, ["patch", *header], rows)


def show_numerics(result: NumericsResult, console: Console | None = None) -> None:
    """Print the spread of logits between methods of computation, and the resulting margins."""
    console = console or Console()
    title = f"Logits of {result.mutants} mutants against each computed alone"
    rows = [[spread.method, f"{spread.delta:.1e}", str(spread.flips)] for spread in result.spreads]
    show_table(console, title, ["computed differently", "largest difference", "other labels"], rows)
    for precision, margin in result.margin.items():
        console.print(
            f"{precision}: certificates that no such difference can break need "
            f"[bold]defender.margin={margin:.1e}[/bold], twice the largest one between any two methods",
            highlight=False,
        )


def show_thresholds(result: ThresholdResult, console: Console | None = None) -> None:
    """Print what a defender certifies with each threshold, and the best one if there is one."""
    console = console or Console()
    names = titles(result.rows)
    rows = [
        [
            f"{row.threshold:g}",
            *(accuracy_text(row.accuracy[name], result.n) for name in names),
            f"{row.mutants_per_image:,.1f}",
        ]
        for row in result.rows
    ]
    title = f"{result.defender}: {result.dataset}, patch {patch_text(result.patch)}, {result.n} validation images, in %"
    show_table(console, title, ["threshold", *names.values(), "mutants"], rows)
    if (best := result.best) is not None:
        console.print(
            f"most round trips, then most certified images, then fewest mutants: [bold]refine_threshold="
            f"{best.threshold:g}[/bold]",
            highlight=False,
        )


def show_attack(result: AttackResult, console: Console | None = None) -> None:
    """Print the accuracy of the base model before and after an attack."""
    console = console or Console()
    before, after = (
        f"{100 * (accuracy.measured or 0.0):.1f} % ({accuracy.count})" for accuracy in (result.before, result.after)
    )
    console.print(
        f"\n{result.n} images, patch {patch_text(result.patch)}: base accuracy {before} before the attack, {after} "
        "after it",
        highlight=False,
        soft_wrap=True,
    )


def benchmark_table(title: str, rows: Sequence[BenchmarkRow]) -> Table:
    """Return a table of one part of a benchmark."""
    table = _table(title)
    if sampled := ", ".join(f"{row.method}: {row.sample}" for row in rows if row.sample is not None):
        table.caption, table.caption_justify = f"scaled from a sample of forward passes: {sampled}", "left"
    table.padding, table.pad_edge = (0, 0, 0, 1), False
    _columns(table, "per image", "mutants", "GFLOPs", "seconds", "faster", "peak %", "MiB")
    for row in rows:
        numbers = (f"{row.mutants:,.0f}", _short(row.gflops), f"{row.seconds:.3g}", f"{row.faster:.1f}")
        mib = "n/a" if row.peak_mib is None else f"{row.peak_mib:,.0f}"
        table.add_row(row.method, *numbers, f"{100 * row.of_peak:.0f}", mib)
    return table


def show_verification(report: VerificationReport, console: Console | None = None) -> None:
    """Print the outcome of the verification of an evaluation."""
    console = console or Console()
    for difference in report.differences[:_MOST_DIFFERENCES]:
        where = "results.json" if difference.image_id is None else f"image {difference.image_id}"
        line = f"  {where}: {difference.field} is {difference.written}, the tables give {difference.computed}"
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)
    if (more := len(report.differences) - _MOST_DIFFERENCES) > 0:
        console.print(f"  and {more} more", highlight=False)
    lazily = f" ({report.completed} of them from partial tables)" if report.completed else ""
    differing = f"{len(report.differences)} values DIFFER from the tables"
    verdict = differing if report.differences else "all values agree with the tables"
    skipped = None if report.skipped is None else f"skipped, {report.skipped}"
    line = f"{report.run}: {report.defender}, {report.images} images{lazily}: {skipped or verdict}"
    console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def _table(title: str | None = None) -> Table:
    return Table(
        title=None if title is None else escape(title), box=SIMPLE_HEAD, title_justify="left", title_style="bold"
    )


def _columns(table: Table, first: str, *others: str) -> None:
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)


def _explain(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(printable(line), style="dim", highlight=False, markup=False)


def _count(number: int | None) -> str:
    return "n/a" if number is None else f"{number:,}"


def _short(gflops: float) -> str:
    return f"{gflops:,.0f}" if gflops >= 100 else f"{gflops:.1f}"
