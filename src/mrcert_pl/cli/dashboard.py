"""``mrcert dashboard``: the W&B workspace and report of a project, and all results in one run."""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrcert_pl.cli.app import failing_plainly
from mrcert_pl.errors import ResultsError

if TYPE_CHECKING:
    from mrcert_pl.dashboard import Board

_ABOUT = """Write a W&B workspace and a report with the panels of this project, and a run with all results that are
found. Nothing is sent, and no account is needed, without --online."""
_EXAMPLES = """examples:
  mrcert dashboard                         all results in outputs/, as files and as an offline run
  mrcert dashboard outputs/demo --online   save them in the account's own project
"""


def main() -> None:
    """Write what a dashboard is made of; with ``--online`` save it in an account."""
    parser = argparse.ArgumentParser(
        prog="mrcert dashboard",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", type=Path, help="results.json files or folders (default: outputs)")
    parser.add_argument("--project", default="mrcert", help="of the runs: logger.wandb.project (default: %(default)s)")
    parser.add_argument("--entity", help="team or user of the account (default: the account's own)")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        default=Path("outputs/dashboard"),
        help="where to write (default: %(default)s)",
    )
    parser.add_argument("--online", action="store_true", help="save the workspace, the report and the run")
    arguments = parser.parse_args()
    with failing_plainly():
        _make(**vars(arguments))


def _make(paths: Sequence[Path], project: str, entity: str | None, to: Path, online: bool) -> None:
    from mrcert_pl.dashboard import Board, check_account, run_closed, views
    from mrcert_pl.files import write_whole

    results = _results(paths)
    if online:
        check_account("--online")
        entity = entity or views.default_entity()
    made = {name: make(entity or views.NOBODY, project) for name, make in views.VIEWS.items()}
    texts = {to / f"{name}.json": views.definition(view) for name, view in made.items()}
    for file, text in texts.items():
        write_whole(file, partial(Path.write_text, data=text), "--to")
    if results:
        with run_closed():
            _show(Board.opened(project, entity, to, offline=not online), results)
    print(f"\nResults of {len(results)} evaluations; definitions in {' and '.join(map(str, texts))}")
    if online:
        for view in made.values():
            print(view.save().url)
    else:
        print(
            f"Nothing was sent. With an account (wandb login) and --online this would save the workspace and the\n"
            f"report {views.TITLE!r} in the project {project} of {entity or 'your account'}, and send a run with the "
            "results.\nRuns that were kept offline are sent with:  "
            "ls -dtr $(find outputs -name 'offline-run-*') | xargs -n 1 wandb sync"
        )


def _results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The evaluations at or below some paths; below ``outputs`` there need be none."""
    from mrcert_pl.reporting import find_results, read_results

    try:
        files = find_results(paths or [Path("outputs")])
    except ResultsError:
        if paths:
            raise
        return []
    return [result for result in map(read_results, files) if "defender" in result]


def _show(board: "Board", results: Sequence[Mapping[str, Any]]) -> None:
    from mrcert_pl.dashboard import figures

    board.begin({"command": "dashboard"})
    board.table("overview/results", figures.RESULT_COLUMNS, map(figures.result_row, results))
    bars = figures.by_defender(results)
    board.bars("overview/by_defender", "Certified accuracy", ("evaluation", "certified"), bars)
    if lines := figures.by_patch(results):
        board.lines("overview/by_patch", "Certified accuracy by size of the patch", "patch in px", lines)


if __name__ == "__main__":
    main()
