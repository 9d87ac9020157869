"""Two evaluations of the same images, image by image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mrcert_pl.errors import ResultsError
from mrcert_pl.results.runs import EvaluationRun
from mrcert_pl.results.schema import EvaluationResult, VerdictRow
from mrcert_pl.results.statistics import mcnemar

_Properties = dict[str, Callable[[VerdictRow], bool]]
_RECOVERY: _Properties = {
    "clean": lambda row: row.correct,
    "certified": lambda row: row.correct_and_certified,
    "round_trip": lambda row: row.correct_and_round_trip,
}
_DETECTION: _Properties = {
    "clean": lambda row: row.correct,
    "certified_detection": lambda row: row.correct and row.detection_certified,
    "certified_ratio": lambda row: row.detection_certified,
    "alerts": lambda row: row.alerted,
}
_ADVICE = "compare evaluations of the same data set with the same dataset.limit"


@dataclass(frozen=True)
class Paired:
    """One accuracy of two runs on the same images.

    Attributes:
        counts: Images that have the property, in the first and in the second run.
        only: Ids of the images that have it in the first run alone, and in the second run alone.
    """

    counts: tuple[int, int]
    only: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def p_value(self) -> float:
        """P-value of McNemar's exact test."""
        return mcnemar(len(self.only[0]), len(self.only[1]))


@dataclass(frozen=True)
class Differing:
    """An image that has a property in one run alone.

    Attributes:
        accuracy: Name of the accuracy.
        only_in: ``a`` or ``b``.
        rows: Verdicts of both runs.
    """

    accuracy: str
    only_in: str
    rows: tuple[VerdictRow, VerdictRow]


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same images.

    Attributes:
        results: The results of both.
        names: Their folders.
        paired: The accuracies that both runs claim: clean, certified and round-trip certified, those of detection.
        differing: Images that have one of these in one run alone.
        unpaired: Accuracies that the first run alone claims, and those of the second alone.
    """

    results: tuple[EvaluationResult, EvaluationResult]
    names: tuple[str, str]
    paired: Mapping[str, Paired]
    differing: tuple[Differing, ...]
    unpaired: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def n(self) -> int:
        """Number of images."""
        return self.results[0].n


def compare(first: EvaluationRun, second: EvaluationRun) -> Comparison:
    """Compare two evaluations image by image.

    Raises:
        ResultsError: If verdicts are missing or damaged, or about different images.
    """
    a, b = ({row.id: row for row in run.verdicts()} for run in (first, second))
    check_same_images(first, second, a, b)
    paired, differing = {}, []
    claimed = [_claimed(run.result) for run in (first, second)]
    for name, holds in claimed[0].items():
        if name not in claimed[1]:
            continue
        having = [{image_id for image_id, row in rows.items() if holds(row)} for rows in (a, b)]
        only = tuple(sorted(having[0] - having[1])), tuple(sorted(having[1] - having[0]))
        paired[name] = Paired((len(having[0]), len(having[1])), only)
        differing += [
            Differing(name, letter, (a[image_id], b[image_id]))
            for letter, ids in zip("ab", only, strict=True)
            for image_id in ids
        ]
    names = str(first.folder), str(second.folder)
    unpaired = tuple(n for n in claimed[0] if n not in claimed[1]), tuple(n for n in claimed[1] if n not in claimed[0])
    return Comparison((first.result, second.result), names, paired, tuple(differing), unpaired)


def _claimed(result: EvaluationResult) -> _Properties:
    """The accuracies that mean something for the defender of a run."""
    named = {name: holds for name, holds in (_RECOVERY | _DETECTION).items() if name in result.accuracy}
    if result.round_trip_note:
        named.pop("round_trip", None)
    return named


def check_same_images(
    first: EvaluationRun, second: EvaluationRun, a: Mapping[int, VerdictRow], b: Mapping[int, VerdictRow]
) -> None:
    """Check that the verdicts of two evaluations, by id, are about the same images with the same true labels.

    Raises:
        ResultsError: If they are not.
    """
    if first.result.dataset != second.result.dataset:
        raise ResultsError(
            f"{first.folder} is about {first.result.dataset}, {second.folder} about {second.result.dataset}; {_ADVICE}"
        )
    if a.keys() != b.keys():
        missing = [
            f"{len(ids)} are only in {run.folder} ({_listed(ids)})"
            for run, ids in ((first, sorted(a.keys() - b.keys())), (second, sorted(b.keys() - a.keys())))
            if ids
        ]
        raise ResultsError(f"the runs are about different images: {', '.join(missing)}; {_ADVICE}")
    if other := [image_id for image_id, row in a.items() if row.label != b[image_id].label]:
        raise ResultsError(f"the images {_listed(other)} have different true labels in the two runs; {_ADVICE}")


def _listed(ids: Sequence[int], most: int = 10) -> str:
    return ", ".join(map(str, ids[:most])) + (", ..." if len(ids) > most else "")
