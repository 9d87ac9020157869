"""Evaluations on disk: the result, and the files beside it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting.results import find_results, read_results
from mrcert_pl.reporting.summary import Result
from mrcert_pl.reporting.verdict_rows import read_verdicts

_ADVICE = "python eval.py makes them"
# Facts that every evaluation has, and other commands' results lack.
_FACTS = ("n", "dataset", "model", "patch", "defender", "seed", "config")


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        file: its ``results.json``.
        result: what that says.
    """

    file: Path
    result: Result

    @property
    def folder(self) -> Path:
        return self.file.parent

    def verdicts(self) -> list[dict[str, Any]]:
        """The rows of its ``verdicts.parquet``.

        Raises:
            ResultsError: if that is missing or damaged.
        """
        return read_verdicts(self.folder / "verdicts.parquet")


def read_run(file: Path) -> Run | None:
    """The evaluation of a ``results.json``, ``None`` if that is another command's.

    Raises:
        ResultsError: if it is damaged.
    """
    result = read_results(file)
    if "defender" not in result:
        return None
    if missing := [fact for fact in _FACTS if fact not in result]:
        raise ResultsError(f"{file} lacks {', '.join(missing)}; remove it or run its evaluation again")
    return Run(file, result)


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """The evaluations at or below some paths, oldest first.

    Raises:
        ResultsError: for a path that doesn't exist, a damaged result, or if there is no evaluation at all.
    """
    paths = list(paths)
    runs = [run for file in find_results(paths) if (run := read_run(file))]
    if not runs:
        raise ResultsError(f"there are no evaluations in {', '.join(map(str, paths))}; {_ADVICE}")
    return runs


def one_run(path: Path) -> Run:
    """The only evaluation at or below a path.

    Raises:
        ResultsError: if there is none, or more than one, naming them.
    """
    runs = find_runs([path])
    if len(runs) > 1:
        found = "\n  ".join(f"{run.folder}: {run.result['defender']}" for run in runs)
        raise ResultsError(f"{path} has {len(runs)} evaluations; name one of them:\n  {found}")
    return runs[0]
