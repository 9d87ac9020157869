"""What the charts of a dashboard show, as plain rows: from verdicts, maps and results."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# At most so many points in a line over the width or height of an image.
_POINTS = 57

ACCURACIES = ("base", "clean", "certified", "round_trip", "adversarial_certified")
_COSTS = ("mutants_per_image", "gflops_per_image")
RESULT_COLUMNS = ("dataset", "model", "patch", "defender", "n", *ACCURACIES, *_COSTS)


def shares(result: Mapping[str, Any]) -> dict[str, float]:
    """The measured accuracies of a ``results.json``, without those that are shares of nothing."""
    measured = {name: accuracy["measured"] for name, accuracy in result["accuracy"].items()}
    return {name: share for name, share in measured.items() if share is not None}


def result_row(result: Mapping[str, Any]) -> list[Any]:
    """The measured shares of one ``results.json`` in the order of ``RESULT_COLUMNS``; ``None`` for what it lacks."""
    known = [result["dataset"], result["model"], str(result["patch"]), result["defender"], result["n"]]
    return [*known, *(shares(result).get(name) for name in ACCURACIES), *map(result.get, _COSTS)]


def by_case(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """For each Case that decided on an image: its name, the share certified of its images, and the numbers of those.

    Certified, clean and round trip are right as well.

    Returns:
        Rows of Case, share certified, images, clean, certified, round trip.
    """
    cases = []
    for case in sorted({row["case"] for row in rows}):
        of = [row for row in rows if row["case"] == case]
        right = [row for row in of if row["prediction"] == row["label"]]
        certified, round_trip = (sum(bool(row[name]) for row in right) for name in ("certified", "round_trip"))
        cases.append([f"Case {case}", certified / len(of), len(of), len(right), certified, round_trip])
    return cases


def by_place(safe: np.ndarray) -> dict[str, tuple[list[float], list[float]]]:
    """How safe images are where, along both axes.

    Args:
        safe: ``[top, left]``, share of the images that a patch there can't change.

    Returns:
        Two lines, ``from left to right`` and ``from top to bottom``: places of the patch's top left pixel in px, and
        the share, averaged along the other axis.
    """
    lines = {}
    for name, axis in (("from left to right", 0), ("from top to bottom", 1)):
        profile = safe.mean(axis)
        places = np.unique(np.linspace(0, len(profile) - 1, _POINTS).round().astype(int))
        lines[name] = (places.tolist(), profile[places].tolist())
    return lines


def by_patch(
    results: Sequence[Mapping[str, Any]], accuracy: str = "certified"
) -> dict[str, tuple[list[float], list[float]]]:
    """Accuracy against the size of the patch, a line for each data set, model and defender.

    Patches that are no squares given in px are left out. Where there are several results of one size, the last counts.
    """
    found: dict[str, dict[int, float]] = {}
    for result in results:
        share = shares(result).get(accuracy)
        if isinstance(result["patch"], int) and share is not None:
            name = f"{result['dataset']} {result['model']} {result['defender']}"
            found.setdefault(name, {})[result["patch"]] = share
    return {name: (sorted(sizes), [sizes[size] for size in sorted(sizes)]) for name, sizes in found.items()}


def by_defender(results: Sequence[Mapping[str, Any]], accuracy: str = "certified") -> list[list[Any]]:
    """A bar for each evaluation: what it is about, and its accuracy."""
    return [
        [f"{result['defender']}, {result['dataset']} {result['model']} p{result['patch']}", shares(result)[accuracy]]
        for result in results
        if accuracy in shares(result)
    ]


def centred(safe: np.ndarray, image_px: tuple[int, int]) -> np.ndarray:
    """A map of placements as numbers over the pixels where the patch's centre is.

    Args:
        safe: bool ``[top, left]``.
        image_px: ``(height, width)``.

    Returns:
        ``[height, width]``: 2 where a patch has no effect, 3 where it may have one, 0 where no centre can be.
    """
    numbers = np.zeros(image_px, dtype=np.uint8)
    top, left = ((image - places) // 2 for image, places in zip(image_px, safe.shape, strict=True))
    numbers[top : top + safe.shape[0], left : left + safe.shape[1]] = np.where(safe, 2, 3)
    return numbers
