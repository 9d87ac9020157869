"""``mrcert verify``: every claim of an evaluation, recomputed by a second implementation."""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mrcert_pl.cli import usage
from mrcert_pl.cli.app import failing_plainly
from mrcert_pl.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_ABOUT = """Recompute everything that evaluations claim from the labels of their mutants, with rules in
NumPy that share nothing with the defenders, and compare every value. The exit code is 1 if one
differs, or if an evaluation is skipped because its defender has no second implementation."""
_EXAMPLES = """examples:
  mrcert verify outputs/eval                          every evaluation
  mrcert verify outputs/eval/.../A --tables tables    one, by the labels in another folder
"""


def main() -> None:
    """Verify evaluations; the exit code is 1 if a single value differs or an evaluation is skipped."""
    parser = usage.parser("verify", _ABOUT, _EXAMPLES)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of evaluations (outputs/eval/...), or above them")
    parser.add_argument(
        "--tables",
        type=Path,
        metavar="FOLDER",
        help="folder of the mutant labels (default: that of the run)",
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
    with failing_plainly():
        for module in options.modules:
            _import(module)
        differing, skipped = _verify(options.runs, options.tables)
    if differing:
        print(f"error: {differing} values do not follow from the tables", file=sys.stderr)
    if skipped:
        number = "1 evaluation was" if skipped == 1 else f"{skipped} evaluations were"
        print(f"error: {number} not verified", file=sys.stderr)
    if differing or skipped:
        sys.exit(1)


def _import(module: str) -> None:
    """Import a module that registers a defender."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        # An import inside the module that fails is a defect of it, and keeps its traceback.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(
            f"there is no module {error.name} (--import {module}); install it, or name its folder in PYTHONPATH"
        ) from error


def _verify(paths: list[Path], tables: Path | None) -> tuple[int, int]:
    """Verify evaluations, print the outcome; return the numbers of differing values and of skipped evaluations."""
    from rich.console import Console
    from rich.progress import Progress

    from mrcert_pl.results import find_runs
    from mrcert_pl.verification import verify
    from mrcert_pl.views.terminal import show_verification

    differing = skipped = 0
    for run in find_runs(paths):
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(f"Verifying {run.result.defender}", total=run.result.n)
            report = verify(run.folder, tables, progress=partial(_advance, progress, task))
        show_verification(report)
        differing += len(report.differences)
        skipped += report.skipped is not None
    return differing, skipped


def _advance(progress: "Progress", task: "TaskID", images: int) -> None:
    progress.update(task, completed=images)


if __name__ == "__main__":
    main()
