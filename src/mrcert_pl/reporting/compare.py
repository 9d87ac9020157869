"""Two evaluations of the same images, image by image."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import patch_text, percent, titles

Row = Mapping[str, Any]

# As the metric counts them: nothing counts without the right label.
_HOLDS: dict[str, Callable[[Row], bool]] = {
    "clean": lambda row: row["prediction"] == row["label"],
    "certified": lambda row: row["prediction"] == row["label"] and bool(row["certified"]),
    "round_trip": lambda row: row["prediction"] == row["label"] and bool(row["round_trip"]),
}


@dataclass(frozen=True)
class Paired:
    """One accuracy of two runs on the same images.

    Attributes:
        counts: images that have it, in the first and in the second run.
        only: ids of the images that have it in the first run alone, and in the second one alone.
        p_value: of McNemar's exact test.
    """

    counts: tuple[int, int]
    only: tuple[list[int], list[int]]

    @property
    def p_value(self) -> float:
        return mcnemar(len(self.only[0]), len(self.only[1]))


def mcnemar(first: int, second: int) -> float:
    """McNemar's exact test, two-sided: could chance alone divide the images that differ between two runs like this?

    Only images that differ tell the runs apart. If neither is better, each of them is equally likely to be on
    either side: the p-value is that of a binomial distribution with probability 1/2 (Q. McNemar, 1947).

    Args:
        first: images that only the first run has right.
        second: images that only the second run has right.
    """
    return float(binomtest(first, first + second).pvalue) if first + second else 1.0


def compare(first: Run, second: Run) -> dict[str, Paired]:
    """Clean, certified and round-trip certified accuracy of two evaluations, image by image.

    Raises:
        ResultsError: if verdicts are missing or damaged, or about other images.
    """
    rows = [{row["id"]: row for row in run.verdicts()} for run in (first, second)]
    _check_same_images(first, second, *rows)
    paired = {}
    for name, holds in _HOLDS.items():
        has: list[set[int]] = [{key for key, row in of.items() if holds(row)} for of in rows]
        only = sorted(has[0] - has[1]), sorted(has[1] - has[0])
        paired[name] = Paired((len(has[0]), len(has[1])), only)
    return paired


def listed(first: Run, second: Run, paired: Mapping[str, Paired]) -> str:
    """The images that differ as CSV: which accuracy, in which run alone, and the verdicts of both."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["accuracy", "only_in", "id", "path", "label", "prediction_a", "prediction_b"])
    writer.writerows(differing(first, second, paired))
    return text.getvalue()


def differing(first: Run, second: Run, paired: Mapping[str, Paired]) -> Iterator[tuple[Any, ...]]:
    """For each accuracy and image that only one run has: accuracy, ``a`` or ``b``, id, path, label, two predictions."""
    rows = [{row["id"]: row for row in run.verdicts()} for run in (first, second)]
    for name, pair in paired.items():
        for run, ids in zip("ab", pair.only, strict=True):
            for key in ids:
                a, b = (of[key] for of in rows)
                yield name, run, key, a["path"], a["label"], a["prediction"], b["prediction"]


def introduced(first: Run, second: Run) -> list[str]:
    """Which run is A and which is B, in words."""
    return [
        f"{letter}: {run.result['defender']}, {run.result['model']}, patch {patch_text(run.result['patch'])}, "
        f"seed {run.result['seed']}: {run.folder}"
        for letter, run in zip("AB", (first, second), strict=True)
    ]


HEADER = ("A", "B", "B - A", "A alone", "B alone", "p")
"""Columns of a table of a comparison, behind the names of the accuracies."""

LEGEND = "p: McNemar's exact test, two-sided; with a p of 0.05 or more chance alone may explain the difference"


def cells(paired: Mapping[str, Paired], n: int) -> list[list[str]]:
    """A row for each accuracy, in words: its name, and the columns of ``HEADER``.

    Args:
        paired: what :func:`compare` has found.
        n: images of each run.
    """
    names, rows = titles([]), []
    for name, pair in paired.items():
        a, b = pair.counts
        shares = [f"{percent(count / n)} ({count})" for count in pair.counts]
        alone = [str(len(ids)) for ids in pair.only]
        rows.append([names[name], *shares, f"{100 * (b - a) / n:+.1f}", *alone, f"{pair.p_value:.2g}"])
    return rows


def _check_same_images(first: Run, second: Run, *rows: Mapping[int, Row]) -> None:
    datasets = [run.result["dataset"] for run in (first, second)]
    if datasets[0] != datasets[1]:
        raise ResultsError(f"{first.folder} is about {datasets[0]}, {second.folder} about {datasets[1]}; {_ADVICE}")
    a, b = rows
    if a.keys() != b.keys():
        missing = [
            f"{len(ids)} are only in {run.folder} ({_some(ids)})"
            for run, ids in ((first, sorted(a.keys() - b.keys())), (second, sorted(b.keys() - a.keys())))
            if ids
        ]
        raise ResultsError(f"the runs are about different images: {', '.join(missing)}; {_ADVICE}")
    if other := [key for key, row in a.items() if row["label"] != b[key]["label"]]:
        raise ResultsError(f"the images {_some(other)} have different true labels in the two runs; {_ADVICE}")


_ADVICE = "compare evaluations of the same data set with the same dataset.limit"


def _some(ids: Sequence[int], most: int = 10) -> str:
    return ", ".join(map(str, ids[:most])) + (", ..." if len(ids) > most else "")
