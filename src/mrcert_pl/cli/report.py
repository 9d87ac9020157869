"""``mrcert report``: evaluations side by side, as tables and as a page; two of them image by image."""

import argparse
import sys
from pathlib import Path
from typing import Any

from mrcert_pl.cli import usage
from mrcert_pl.cli.app import fail, failing_plainly
from mrcert_pl.errors import ResultsError

_EXAMPLES = """examples:
  mrcert report                                         all results in outputs/
  mrcert report outputs/demo --html report.html         and a page with figures, maps and images
  mrcert report outputs --format latex > table.tex      a table for a paper
  mrcert report outputs --frontier frontier.pdf         accuracy against cost, with the Pareto front
  mrcert report outputs --over-seeds                    mean and spread of runs that differ in the seed alone
  mrcert report --compare outputs/eval/.../A outputs/eval/.../B    which images only one of them certifies
  mrcert report --compare A B --html compared.html                 the same, and a page of the two
"""


def main() -> None:
    """Print results in the requested format."""
    arguments = _parse()
    with failing_plainly():
        if arguments.compare:
            _compare(arguments)
        else:
            _report(arguments)


def _parse() -> argparse.Namespace:
    parser = usage.parser("report", "Show the results of evaluations side by side.", _EXAMPLES)
    add = parser.add_argument
    add("paths", nargs="*", type=Path, help="results.json files or folders (default: outputs)")
    add(
        "--format",
        choices=["table", "markdown", "csv", "latex"],
        default="table",
        help="output format (default: %(default)s)",
    )
    add(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write one HTML page with all results, figures and the comparison",
    )
    add(
        "--frontier",
        type=Path,
        metavar="FILE",
        help="also draw certified, round-trip and detection accuracy against GFLOPs per image, as SVG, PNG or PDF",
    )
    add("--over-seeds", action="store_true", help="one row for runs that differ in the seed alone: mean and spread")
    add(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("A", "B"),
        help="two evaluations of the same images, image by image; --format csv lists the images that differ",
    )
    arguments = parser.parse_args()
    if arguments.compare and (arguments.paths or arguments.frontier or arguments.over_seeds):
        parser.error("--compare takes two evaluations, and no paths, --frontier or --over-seeds beside them")
    if arguments.compare and arguments.format not in ("table", "csv"):
        parser.error("--compare prints a table or, with --format csv, the images that differ")
    arguments.paths = arguments.paths or [Path("outputs")]
    return arguments


def _report(arguments: argparse.Namespace) -> None:
    from mrcert_pl.results import find_runs, over_seeds
    from mrcert_pl.views.formats import FORMATS
    from mrcert_pl.views.terminal import show_results

    damaged: list[ResultsError] = []
    runs = find_runs(arguments.paths, damaged)
    results: Any = [run.result for run in runs]
    if arguments.over_seeds:
        results = over_seeds(results)
    if arguments.format == "table":
        show_results(results)
    else:
        print(FORMATS[arguments.format](results), end="")
    _page(arguments, arguments.paths, runs, results, damaged=damaged)
    if arguments.frontier:
        from mrcert_pl.views.frontier import write_frontier

        _say(arguments, write_frontier(arguments.frontier, results))
    if damaged:
        # Those of evaluations are read again for the page.
        fail("left out: " + "\n".join(dict.fromkeys(map(str, damaged))))


def _compare(arguments: argparse.Namespace) -> None:
    from mrcert_pl.results import compare, one_run
    from mrcert_pl.views.comparison import comparison_csv
    from mrcert_pl.views.terminal import show_comparison

    first, second = map(one_run, arguments.compare)
    comparison = compare(first, second)
    if arguments.format == "csv":
        print(comparison_csv(comparison), end="")
    else:
        show_comparison(comparison)
    _page(arguments, arguments.compare, [first, second], [first.result, second.result], comparison)


def _page(
    arguments: argparse.Namespace,
    paths: list[Path],
    runs: Any,
    results: Any,
    comparison: Any = None,
    damaged: Any = None,
) -> None:
    if arguments.html:
        from mrcert_pl.results import find_leftovers
        from mrcert_pl.views.page import write_page

        _say(arguments, write_page(arguments.html, runs, results, find_leftovers(paths, damaged), comparison))


def _say(arguments: argparse.Namespace, file: Path) -> None:
    """Print the name of a written file: on standard error if standard output is for other programs."""
    print(file, file=sys.stdout if arguments.format == "table" else sys.stderr)


if __name__ == "__main__":
    main()
