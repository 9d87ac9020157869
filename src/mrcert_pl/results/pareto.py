"""Pareto front of accuracy against cost: evaluations on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrcert_pl.results.labels import base_labels, grouped, labels
from mrcert_pl.results.schema import Accuracy, SeedAccuracy
from mrcert_pl.results.seeds import AnyResult

COMPARED = ("certified", "round_trip", "certified_detection")
"""Accuracies that are compared. A detector has the last one alone, other defenders have the others."""


@dataclass(frozen=True)
class Point:
    """A configuration with its cost.

    Attributes:
        result: Its result.
        base: Name of its base model.
        label: Name of its defender on that base model.
        gflops: Operations per image in 10^9.
        number: Number in its group: results of one base model in a row, cheapest first.
    """

    result: AnyResult
    base: str
    label: str
    gflops: float
    number: int = 0

    def value(self, name: str) -> float:
        """An accuracy; 0 also where it was not measured or the defender's rule excludes it."""
        accuracy = measured(self.result, name)
        return 0.0 if accuracy is None or accuracy.measured is None else accuracy.measured

    @property
    def alerts(self) -> float | None:
        """Fraction of clean images with an alert; ``None`` for attacked images and for a defender without alerts."""
        known = self.result.accuracy
        return known["alerts"].measured if "alerts" in known and "harmful_alerts" not in known else None


def possible(result: AnyResult, name: str) -> bool:
    """Whether an accuracy was measured: the 0 of a defender that certifies no round trips follows from its rule."""
    return name != "round_trip" or not result.round_trip_note


def measured(result: AnyResult, name: str) -> Accuracy | SeedAccuracy | None:
    """An accuracy that was measured and that the defender's rule does not exclude."""
    accuracy = result.accuracy.get(name)
    if accuracy is None or accuracy.measured is None or not possible(result, name):
        return None
    return accuracy


def priced(results: Sequence[AnyResult]) -> list[list[Point]]:
    """Group results on the same images that certify something at a known cost, where two costs differ."""
    known = [
        result
        for result in results
        if result.gflops_per_image  # the axis of costs is logarithmic
        and any(Point(result, "", "", result.gflops_per_image).value(name) > 0 for name in COMPARED)
    ]
    bases = base_labels(known)
    points = [
        Point(result, base, label, float(result.gflops_per_image or 0.0))
        for result, base, label in zip(known, bases, labels(known, bases), strict=True)
    ]
    keys = [[point.result.dataset, point.result.patch, point.result.n] for point in points]
    return [_numbered(group) for group in grouped(points, keys) if len({point.gflops for point in group}) > 1]


def frontier(points: Sequence[Point], name: str) -> list[Point]:
    """Pareto front of accuracy against cost, cheapest first; points that certify nothing are left out.

    Detection has a third criterion, the alerts on clean images: a threshold trades these for certificates.
    """
    best = [one for one in points if one.value(name) > 0 and not any(_dominates(other, one, name) for other in points)]
    return sorted(best, key=lambda point: point.gflops)


def compared(group: Sequence[Point]) -> list[str]:
    """Accuracies that some point of a group has a part in."""
    return [name for name in COMPARED if frontier(group, name)]


def _dominates(other: Point, one: Point, name: str) -> bool:
    """Whether ``other`` is at least as good in cost, accuracy and alerts, and better in one of them."""
    theirs = (other.gflops, -other.value(name), other.alerts or 0.0)
    ours = (one.gflops, -one.value(name), one.alerts or 0.0)
    return theirs != ours and all(a <= b for a, b in zip(theirs, ours, strict=True))


def _numbered(group: Sequence[Point]) -> list[Point]:
    bases = [sorted(of, key=lambda point: point.gflops) for of in grouped(group, [point.base for point in group])]
    bases.sort(key=lambda of: of[0].gflops)
    ordered = [point for of in bases for point in of]
    return [
        Point(point.result, point.base, point.label, point.gflops, number)
        for number, point in enumerate(ordered, start=1)
    ]
