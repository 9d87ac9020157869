"""The curve of :class:`mrcert_pl.results.schema.ThresholdResult` as an image file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrcert_pl.files import write_whole
from mrcert_pl.results.labels import patch_text
from mrcert_pl.results.schema import ThresholdResult, ThresholdRow
from mrcert_pl.views.drawing import drawing, error_bars, look, percent_ticks
from mrcert_pl.views.words import titles

_SIZE = (5.6, 3.6)


def draw_thresholds(path: Path, result: ThresholdResult) -> Path:
    """Draw accuracies with 95 % intervals against the cost of a threshold, and name the threshold at each point.

    The cost is the number of mutants per image, for a detector the fraction of clean images with an alert.

    Args:
        path: SVG file.
        result: The thresholds.
    """
    rows = sorted(result.rows, key=lambda row: row.threshold)
    detector = result.best is None
    names = {name: title for name, title in titles(rows).items() if name not in ("base", "alerts")}
    cost: list[Any] = [row.accuracy["alerts"].measured if detector else row.mutants_per_image for row in rows]
    with drawing(*_SIZE) as figure:
        axis: Any = figure.subplots()
        for number, (name, title) in enumerate(names.items()):
            found = [row.accuracy[name] for row in rows]
            if not any(accuracy.count for accuracy in found):
                continue
            (marker, colour), heights = look(number), [accuracy.measured or 0.0 for accuracy in found]
            axis.errorbar(cost, heights, error_bars(found), color=colour, lw=1, alpha=0.35, ls="")
            axis.plot(cost, heights, f"-{marker}", color=colour, ms=5, label=title)
            if name in ("certified", "certified_ratio"):
                for (x, y), same in _by_point(rows, cost, heights).items():
                    axis.annotate(", ".join(same), (x, y), (0, 5), textcoords="offset points", fontsize=7)
        axis.set_title(
            f"{result.defender} by threshold: {result.dataset}, patch {patch_text(result.patch)}, {result.n} images",
            loc="left",
            fontsize=9,
        )
        axis.set_xlabel("clean images with an alert" if detector else "mutants per image")
        if detector:
            axis.xaxis.set_major_formatter(percent_ticks())
        axis.yaxis.set_major_formatter(percent_ticks())
        axis.grid(True)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(loc="best", fontsize=8)
        options: Any = {"format": "svg", "metadata": {"Date": None}}
        return write_whole(path, lambda partial: figure.savefig(partial, **options))


def _by_point(
    rows: Sequence[ThresholdRow], cost: Sequence[float], heights: Sequence[float]
) -> dict[tuple[float, float], list[str]]:
    """Thresholds by the point that shows them."""
    points: dict[tuple[float, float], list[str]] = {}
    for row, place in zip(rows, zip(cost, heights, strict=True), strict=True):
        points.setdefault(place, []).append(f"{row.threshold:g}")
    return points
