"""``mrcert verify``: every verdict of an evaluation once more, by a second implementation."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mrcert_pl.cli.app import failing_plainly

if TYPE_CHECKING:
    from mrcert_pl.reporting import Run

_SHOWN = 20
_ABOUT = """Compute all verdicts of evaluations again from the labels of their mutants, with rules in NumPy that share
nothing with the defenders, and compare every value. The exit code is 1 if one differs."""
_EXAMPLES = """examples:
  mrcert verify outputs/eval                          every evaluation
  mrcert verify outputs/eval/.../A --tables tables    one, by the labels in another folder
"""


def main() -> None:
    """Verify evaluations; the exit code is 1 if a single value differs."""
    parser = argparse.ArgumentParser(
        prog="mrcert verify",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of evaluations (outputs/eval/...), or above them")
    parser.add_argument(
        "--tables",
        type=Path,
        metavar="FOLDER",
        help="the mutants' labels (default: the folder that the run used)",
    )
    parser.add_argument(
        "--import",
        dest="modules",
        metavar="MODULE",
        action="append",
        default=[],
        help="module that registers a defender from outside the package; may be given several times",
    )
    options = parser.parse_args()
    from mrcert_pl.reporting import find_runs

    for module in options.modules:
        import_module(module)
    with failing_plainly():
        wrong = sum(_verify(run, options.tables) for run in find_runs(options.runs))
    if wrong:
        print(f"error: {wrong} values do not follow from the tables", file=sys.stderr)
        sys.exit(1)


def _verify(run: "Run", folder: Path | None) -> int:
    """Verify one evaluation, print the outcome and return the number of values that differ."""
    from rich.console import Console
    from rich.progress import Progress

    from mrcert_pl.verification import verify

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Verifying {run.result['defender']}", total=run.result["n"])
        report = verify(run.folder, folder, progress=lambda images: progress.update(task, completed=images))
    if report.skipped is not None:
        print(f"{run.folder}: skipped, {report.skipped}")
        return 0
    for found in report.differences[:_SHOWN]:
        place = "results.json" if found.image_id is None else f"image {found.image_id}"
        print(f"  {place}: {found.field} is {found.written}, and follows from the tables as {found.computed}")
    if len(report.differences) > _SHOWN:
        print(f"  and {len(report.differences) - _SHOWN} more")
    differ = len(report.differences)
    verdict = f"{differ} values DIFFER from the tables" if differ else "all values agree with the tables"
    lazily = f" ({report.completed} of them from fewer mutants than all)" if report.completed else ""
    print(f"{run.folder}: {report.defender}, {report.images} images{lazily}: {verdict}")
    return differ


if __name__ == "__main__":
    main()
