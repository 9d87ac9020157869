"""Figures of results: defenders side by side, accuracy against patch size, Cases."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from mrcert_pl.reporting.intervals import bounds
from mrcert_pl.reporting.page.svg import INK, Picture, drawing, embedded
from mrcert_pl.reporting.summary import (
    Result,
    are_over_seeds,
    are_published,
    grouped,
    measured,
    patch_text,
    percent,
    titles,
)

_WIDTH = 4.6
# Told apart by their shapes too; each readable on white and on black.
_LOOKS = {
    "base": ("#7d838c", "o"),
    "clean": ("#3f86cc", "s"),
    "certified": ("#2a9d5c", "D"),
    "round_trip": ("#cf6a2b", "^"),
    "adversarial_certified": ("#a05fc4", "v"),
}
COLOURS = ["#3f86cc", "#2a9d5c", "#cf6a2b", "#a05fc4", "#b8860b", "#7d838c"]
MARKERS = "osD^vP"
_CASES = ["#2a9d5c", "#3f86cc", "#b8860b", "#cf6a2b", "#a05fc4", "#7d838c"]


def side_by_side(results: Sequence[Result]) -> Picture:
    """Labelled results on the same images, one below the other, each accuracy with its interval."""
    names = titles(results)
    labels = [result["label"] for result in results]
    with drawing(_WIDTH, 0.9 + 0.42 * len(results)) as figure:
        axis = figure.subplots()
        for place, (name, title) in enumerate(names.items()):
            colour, marker = _LOOKS[name]
            known = [(y, a) for y, result in enumerate(results) if (a := measured(result, name))]
            heights = [y + 0.13 * (place - (len(names) - 1) / 2) for y, _ in known]
            shares = [a["measured"] for _, a in known]
            axis.errorbar(
                shares, heights, xerr=error_bars([a for _, a in known]), fmt=marker, color=colour, ms=4.5, label=title
            )
            said = [(a["reported"], y) for y, (_, a) in zip(heights, known, strict=True) if a["reported"] is not None]
            if said:
                axis.plot(*zip(*said, strict=True), marker="|", ms=9, mew=1.6, ls="", color=INK)
        axis.set_yticks(range(len(labels)), labels)
        axis.set_ylim(len(labels) - 0.5, -0.5)
        _percent_axis(axis.xaxis, axis.set_xlim)
        figure.legend(loc="outside upper left", ncols=5, fontsize=8, columnspacing=1, handletextpad=0.3)
        said_where = "; upright strokes: published figures" if are_published(results) else ""
        patch = f"Patch {patch_text(results[0]['patch'])}"
        return embedded(figure, f"{patch}. {_in_words(results, names)}", f"{patch}. {bar_words(results)}{said_where}.")


def against_patch_size(results: Sequence[Result], name: str) -> Picture | None:
    """An accuracy by the size of the patch, a line for each label; ``None`` if there is nothing to compare.

    Of defenders that reach none at any size there is no line.
    """
    patches = {patch_text(patch): None for patch in sorted((result["patch"] for result in results), key=_size)}
    lines = [line for line in grouped(results, "label") if any(r["accuracy"][name]["measured"] for r in line)]
    if len(patches) < 2 or not lines:
        return None
    words = []
    with drawing(_WIDTH, 3.2) as figure:
        axis = figure.subplots()
        for number, line in enumerate(lines):
            at = [patch_text(result["patch"]) for result in line]
            order = np.argsort(places := [list(patches).index(patch) for patch in at], kind="stable")
            accuracies = [line[i]["accuracy"][name] for i in order]
            shares = [accuracy["measured"] for accuracy in accuracies]
            aside = 0.04 * (number - (len(lines) - 1) / 2)
            look: Any = {"marker": MARKERS[number % len(MARKERS)], "color": COLOURS[number % len(COLOURS)], "ms": 4.5}
            bars, name_of = error_bars(accuracies), line[0]["label"]
            axis.errorbar([places[i] + aside for i in order], shares, bars, label=name_of, lw=1.4, **look)
            known = ", ".join(f"{percent(share)} % at {at[i]}" for share, i in zip(shares, order, strict=True))
            words.append(f"{line[0]['label']}: {known}")
        axis.set_xticks(range(len(patches)), list(patches))
        axis.set_xlabel("patch")
        _percent_axis(axis.yaxis, axis.set_ylim)
        figure.legend(loc="outside upper left", ncols=2, fontsize=8, columnspacing=1, handletextpad=0.3)
        what = f"{titles(results)[name].capitalize()} accuracy by size of the patch"
        return embedded(figure, f"{what}. {'; '.join(words)}.", f"{what}. {bar_words(results)}.")


def cases(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Picture:
    """How often each Case gave the label, as a bar for each label of a run."""
    counts = {label: Counter(row["case"] for row in of) for label, of in rows.items()}
    known = sorted({case for count in counts.values() for case in count})
    with drawing(_WIDTH, 0.8 + 0.3 * len(rows)) as figure:
        axis = figure.subplots()
        left = np.zeros(len(rows))
        for case in known:
            shares = np.array([count[case] / count.total() for count in counts.values()])
            colour = _CASES[(case - 1) % len(_CASES)]
            axis.barh(range(len(rows)), shares, left=left, color=colour, height=0.6, label=f"Case {case}")
            left += shares
        axis.set_yticks(range(len(rows)), list(rows))
        axis.set_ylim(len(rows) - 0.5, -0.5)
        _percent_axis(axis.xaxis, axis.set_xlim)
        figure.legend(loc="outside upper left", ncols=4, fontsize=8, columnspacing=1, handlelength=1)
        words = [
            f"{label}: " + ", ".join(f"Case {case} {count[case]}" for case in known if count[case])
            for label, count in counts.items()
        ]
        return embedded(figure, f"Number of images by Case. {'; '.join(words)}.", "Share of the images by Case.")


def _percent_axis(axis: Any, set_limits: Any) -> None:
    set_limits(-0.02, 1.02)
    axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1])
    axis.grid(True)
    axis.axes.set_axisbelow(True)


def error_bars(accuracies: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """``[2, accuracy]``: how far the bars reach below and above."""
    reach = np.zeros((2, len(accuracies)))
    for place, accuracy in enumerate(accuracies):
        if found := bounds(accuracy):
            reach[:, place] = max(accuracy["measured"] - found[0], 0), max(found[1] - accuracy["measured"], 0)
    return reach


def bar_words(results: Sequence[Result]) -> str:
    """What the bars of a figure are."""
    if are_over_seeds(results):
        return "Bars: one standard deviation over seeds"
    return "Bars: 95 % intervals"


def _in_words(results: Sequence[Result], names: Mapping[str, str]) -> str:
    lines = []
    for result in results:
        known = [(title, measured(result, name)) for name, title in names.items()]
        shares = [f"{title} {percent(a['measured'])} %" for title, a in known if a]
        lines.append(f"{result['label']}: {', '.join(shares)}")
    return f"Accuracy by defender. {'; '.join(lines)}."


def _size(patch: object) -> tuple[int, str]:
    """Squares by their size, then the others."""
    return (patch, "") if isinstance(patch, int) else (2**31, patch_text(patch))
