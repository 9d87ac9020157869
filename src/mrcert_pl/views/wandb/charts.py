"""Contents of charts as plain rows: from verdicts, maps and results."""

from collections.abc import Sequence

import numpy as np

from mrcert_pl.results.labels import labels
from mrcert_pl.results.schema import ADVERSARIAL, EvaluationResult, VerdictRow

# Most points in a line over the width or height of an image.
_POINTS = 57

ACCURACIES = (
    *("base", "clean", "certified", "round_trip", ADVERSARIAL),
    *("certified_detection", "certified_ratio", "alerts", "harmful_alerts"),
)
RESULT_COLUMNS = (
    *("dataset", "model", "patch", "defender", "n"),
    *ACCURACIES,
    *("mutants_per_image", "gflops_per_image"),
)

OVERVIEWS = {"certified": ("", "Certified accuracy"), "certified_detection": ("detection_", "Certified detection")}
"""Accuracies of the overview: prefix of their charts, and title."""

Lines = dict[str, tuple[list[float], list[float]]]


def accuracies(result: EvaluationResult) -> dict[str, float]:
    """The measured accuracies by name."""
    return {name: a.measured for name, a in result.accuracy.items() if a.measured is not None}


def result_row(result: EvaluationResult) -> list[str | int | float | None]:
    """A result in the order of ``RESULT_COLUMNS``; ``None`` for an accuracy that it lacks."""
    measured = accuracies(result)
    known: list[str | int | float | None] = [result.dataset, result.model, str(result.patch), result.defender, result.n]
    costs: list[str | int | float | None] = [result.mutants_per_image, result.gflops_per_image]
    return [*known, *(measured.get(name) for name in ACCURACIES), *costs]


def by_case(rows: Sequence[VerdictRow]) -> list[list[str | float]]:
    """For each Case: its name, the certified fraction of its images, and numbers of images.

    Returns:
        Rows of Case, certified fraction, images, correct, correct and certified, correct and round trip.
    """
    cases: list[list[str | float]] = []
    for case in sorted({row.case for row in rows}):
        of = [row for row in rows if row.case == case]
        certified = sum(row.correct_and_certified for row in of)
        numbers = [len(of), sum(row.correct for row in of), certified, sum(row.correct_and_round_trip for row in of)]
        cases.append([f"Case {case}", certified / len(of), *numbers])
    return cases


def by_location(safe: np.ndarray) -> Lines:
    """Fraction of safe images along both axes.

    Args:
        safe: ``[top, left]``, fraction of the images that a patch there cannot change.

    Returns:
        Two lines, ``from left to right`` and ``from top to bottom``: position of the patch's top left pixel in px, and
        the fraction, averaged along the other axis.
    """
    lines = {}
    for name, axis in (("from left to right", 0), ("from top to bottom", 1)):
        profile = safe.mean(axis)
        at = np.unique(np.linspace(0, len(profile) - 1, _POINTS).round().astype(int))
        lines[name] = (at.tolist(), profile[at].tolist())
    return lines


def by_patch(results: Sequence[EvaluationResult], accuracy: str) -> Lines:
    """Accuracy against patch size, a line for each data set, model and label of a defender.

    Only square patches in px are shown.
    """
    found: dict[str, dict[int, float]] = {}
    for result, label in zip(results, labels(results), strict=True):
        value = accuracies(result).get(accuracy)
        if isinstance(result.patch, int) and value is not None:
            found.setdefault(f"{result.dataset} {result.model} {label}", {})[result.patch] = value
    return {name: (sorted(sizes), [sizes[size] for size in sorted(sizes)]) for name, sizes in found.items()}


def by_defender(results: Sequence[EvaluationResult], accuracy: str) -> list[list[str | float]]:
    """A bar for each evaluation that has an accuracy: label of the defender, subject, and the accuracy."""
    return [
        [f"{label}, {result.dataset} {result.model} p{result.patch}", accuracies(result)[accuracy]]
        for result, label in zip(results, labels(results), strict=True)
        if accuracy in accuracies(result)
    ]


def centred(safe: np.ndarray, image_px: tuple[int, int]) -> np.ndarray:
    """A map of placements as numbers over the pixels of the patch's centre.

    Args:
        safe: Bool ``[top, left]``.
        image_px: ``(height, width)``.

    Returns:
        ``[height, width]``: 2 where a patch has no effect, 3 where it may have one, 0 where no centre can be.
    """
    numbers = np.zeros(image_px, dtype=np.uint8)
    top, left = ((image - places) // 2 for image, places in zip(image_px, safe.shape, strict=True))
    numbers[top : top + safe.shape[0], left : left + safe.shape[1]] = np.where(safe, 2, 3)
    return numbers
