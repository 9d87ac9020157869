"""``mrcert dashboard``: the W&B workspace and report of a project, and all results in one run."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mrcert_pl.cli import usage
from mrcert_pl.cli.app import failing_plainly
from mrcert_pl.errors import ResultsError

if TYPE_CHECKING:
    from mrcert_pl.results import EvaluationResult

_ABOUT = """Write a W&B workspace and a report with the panels of this project, and a run with all results that are
found. Nothing is sent, and no account is needed, without --online."""
_EXAMPLES = """examples:
  mrcert dashboard                         all results in outputs/, as files and as an offline run
  mrcert dashboard outputs/demo --online   save them in the account's own project
"""


def main() -> None:
    """Write workspace, report and an offline run; with ``--online`` save them in an account."""
    parser = usage.parser("dashboard", _ABOUT, _EXAMPLES)
    parser.add_argument("paths", nargs="*", type=Path, help="results.json files or folders (default: outputs)")
    parser.add_argument("--project", default="mrcert", help="project, as logger.wandb.project (default: %(default)s)")
    parser.add_argument("--entity", help="team or user of the account (default: the account's own)")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        default=Path("outputs/dashboard"),
        help="output folder (default: %(default)s)",
    )
    parser.add_argument("--online", action="store_true", help="save the workspace, the report and the run")
    arguments = parser.parse_args()
    with failing_plainly():
        _make(**vars(arguments))


def _make(paths: Sequence[Path], project: str, entity: str | None, to: Path, online: bool) -> None:
    from mrcert_pl.files import write_whole
    from mrcert_pl.views.wandb import WandbRun, check_account, log_overview, run_closed, workspace

    results = _results(paths)
    if online:
        check_account("--online")
        entity = entity or workspace.default_entity()
    made = {name: make(entity or workspace.ENTITY, project) for name, make in workspace.VIEWS.items()}
    texts = {to / f"{name}.json": workspace.definition(view) for name, view in made.items()}
    for file, text in texts.items():
        write_whole(file, partial(Path.write_text, data=text), "--to")
    if results:
        with run_closed():
            log_overview(WandbRun.opened(project, entity, to, offline=not online), results)
    print(f"\nResults of {len(results)} evaluations; definitions in {' and '.join(map(str, texts))}")
    if online:
        for view in made.values():
            print(view.save().url)
    else:
        print(
            f"Nothing was uploaded. With an account (wandb login), --online saves the workspace and the\n"
            f"report {workspace.TITLE!r} in the project {project} of {entity or 'your account'}, and uploads a run "
            "with the results.\nOffline runs are uploaded with:  "
            "ls -dtr $(find outputs -name 'offline-run-*') | xargs -n 1 wandb sync"
        )


def _results(paths: Sequence[Path]) -> "list[EvaluationResult]":
    """Return the evaluations at or below paths; ``outputs`` may have none."""
    from mrcert_pl.results import find_runs

    try:
        return [run.result for run in find_runs(paths or [Path("outputs")])]
    except ResultsError:
        if paths:
            raise
        return []


if __name__ == "__main__":
    main()
