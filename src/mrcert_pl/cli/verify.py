"""``mrcert verify``: every verdict of an evaluation once more, by a second implementation."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mrcert_pl.cli.app import failing_plainly

if TYPE_CHECKING:
    from mrcert_pl.results import EvaluationRun

_SHOWN = 20
_ABOUT = """Compute all verdicts of evaluations again from the labels of their mutants, with rules in NumPy that share
nothing with the defenders, and compare every value. The exit code is 1 if one is wrong."""
_EXAMPLES = """examples:
  mrcert verify outputs/eval                          every evaluation
  mrcert verify outputs/eval/.../A --tables tables    one, by the labels in another folder
"""


def main() -> None:
    """Verify evaluations; the exit code is 1 if a single value is wrong."""
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
    options = parser.parse_args()
    from mrcert_pl.results import find_runs

    with failing_plainly():
        wrong = sum(_verify(run, options.tables) for run in find_runs(options.runs))
    if wrong:
        print(f"error: {wrong} values do not follow from the tables", file=sys.stderr)
        sys.exit(1)


def _verify(run: "EvaluationRun", folder: Path | None) -> int:
    """Verify one evaluation, say what came of it, and return the number of wrong values."""
    from rich.console import Console
    from rich.progress import Progress

    from mrcert_pl.results.codec import encode
    from mrcert_pl.verification import Verification, verify

    result, rows = run.result, run.verdicts()
    folder = folder or _tables_of(run)
    found = Verification()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Verifying {result.defender}", total=len(rows))
        for found in verify(encode(result), [encode(row) for row in rows], folder):
            progress.update(task, completed=found.images)
    for key, column, written, computed in found.differences[:_SHOWN]:
        print(f"  {'results.json' if key is None else f'image {key}'}: {column} is {written}, and should be {computed}")
    if len(found.differences) > _SHOWN:
        print(f"  and {len(found.differences) - _SHOWN} more")
    verdict = f"{len(found.differences)} values are WRONG" if found.differences else "all verdicts are right"
    lazily = f" ({found.completed} of them from fewer mutants than all)" if found.completed else ""
    print(f"{run.folder}: {result.defender}, {found.images} images{lazily}: {verdict}")
    return len(found.differences)


def _tables_of(run: "EvaluationRun") -> Path:
    """The tables that a result was made from: where it says, or in its own folder if that has been moved."""
    own = run.folder / "mutants"
    return own if own.is_dir() else Path(run.result.table or own)


if __name__ == "__main__":
    main()
