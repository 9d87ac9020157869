"""Figures of results: defenders side by side, accuracy against patch size, Cases."""

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np

from mrcert_pl.results.labels import grouped, patch_text
from mrcert_pl.results.pareto import measured
from mrcert_pl.results.schema import Patch, VerdictRow
from mrcert_pl.results.seeds import AnyResult
from mrcert_pl.views.drawing import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    EmbeddedImage,
    drawing,
    embedded,
    error_bars,
    look,
    percent_ticks,
)
from mrcert_pl.views.words import ALL_TITLES, are_published, bar_words, percent, titles

_WIDTH = 4.6
# Characters of a line of a name beside its bars, and the height of the line in inches.
_NAME, _HALF, _LINE = 24, 28, 0.14
# Distinct by shape too.
_LOOKS = {
    "base": (GREY, "o"),
    "clean": (BLUE, "s"),
    "certified": (GREEN, "D"),
    "round_trip": (ORANGE, "^"),
    "adversarial_certified": (PURPLE, "v"),
    "certified_detection": (GREEN, "D"),
    "unwavering": (ORANGE, "s"),
    "certified_ratio": (SKY, "P"),
    "alerts": (RED, "^"),
    "harmful_alerts": (PURPLE, "v"),
}


class Labelled(NamedTuple):
    """A result and the name that tells it from others."""

    label: str
    result: AnyResult


def side_by_side(group: Sequence[Labelled]) -> EmbeddedImage:
    """Results on the same images, one below the other, each accuracy with its interval."""
    results = [each.result for each in group]
    names = titles(results)
    beside = [fill(each.label, _NAME) for each in group]
    with drawing(_WIDTH, 0.9 + _row(beside, 0.42) * len(group)) as figure:
        axis = figure.subplots()
        for number, (name, title) in enumerate(names.items()):
            colour, marker = _LOOKS[name]
            known = [(y, a) for y, result in enumerate(results) if (a := measured(result, name))]
            heights = [y + 0.13 * (number - (len(names) - 1) / 2) for y, _ in known]
            values = [a.measured or 0.0 for _, a in known]
            bars = error_bars([a for _, a in known])
            axis.errorbar(values, heights, xerr=bars, fmt=marker, color=colour, ms=4.5, label=title)
            said = [(a.reported, y) for y, (_, a) in zip(heights, known, strict=True) if a.reported is not None]
            if said:
                axis.plot(*zip(*said, strict=True), marker="|", ms=9, mew=1.6, ls="", color=INK)
        axis.set_yticks(range(len(group)), beside)
        axis.set_ylim(len(group) - 0.5, -0.5)
        _percent_axis(axis.xaxis, axis.set_xlim)
        figure.legend(loc="outside upper left", ncols=5, fontsize=8, columnspacing=1, handletextpad=0.3)
        published = "; upright strokes: published values" if are_published(results) else ""
        patch = f"Patch {patch_text(results[0].patch)}"
        return embedded(figure, f"{patch}. {_in_words(group, names)}", f"{patch}. {bar_words(results)}{published}.")


def against_patch_size(group: Sequence[Labelled], name: str) -> EmbeddedImage | None:
    """An accuracy by patch size, a line for each label; ``None`` without two sizes.

    Defenders that reach 0 at every size have no line. A label has the same colour in the figure of each accuracy.
    """
    patches = {patch_text(p): None for p in sorted((each.result.patch for each in group), key=_size)}
    lines = grouped(group, [each.label for each in group])
    looks = {line[0].label: look(number) for number, line in enumerate(lines)}
    lines = [line for line in lines if any(a.measured for each in line if (a := measured(each.result, name)))]
    if len(patches) < 2 or not lines:
        return None
    words, names = [], [fill(line[0].label, _HALF) for line in lines]
    # The names stand in two columns above the axes.
    with drawing(_WIDTH, 2.8 + _LINE * sum(1 + name.count("\n") for name in names) / 2) as figure:
        axis = figure.subplots()
        for number, line in enumerate(lines):
            label = line[0].label
            known = [
                (list(patches).index(patch_text(each.result.patch)), accuracy)
                for each in line
                if (accuracy := each.result.accuracy.get(name)) is not None and accuracy.measured is not None
            ]
            known.sort(key=lambda pair: pair[0])
            aside = 0.04 * (number - (len(lines) - 1) / 2)
            marker, colour = looks[label]
            style: Any = {"marker": marker, "color": colour, "ms": 4.5, "lw": 1.4, "label": names[number]}
            x, y = [place + aside for place, _ in known], [accuracy.measured or 0.0 for _, accuracy in known]
            axis.errorbar(x, y, error_bars([accuracy for _, accuracy in known]), **style)
            said = [f"{percent(a.measured or 0.0)} % at {list(patches)[place]}" for place, a in known]
            words.append(f"{label}: {', '.join(said)}")
        axis.set_xticks(range(len(patches)), list(patches))
        axis.set_xlabel("patch")
        _percent_axis(axis.yaxis, axis.set_ylim)
        figure.legend(loc="outside upper left", ncols=2, fontsize=8, columnspacing=1, handletextpad=0.3)
        results = [each.result for each in group]
        what = f"{ALL_TITLES[name].capitalize()} accuracy by patch size"
        return embedded(figure, f"{what}. {'; '.join(words)}.", f"{what}. {bar_words(results)}.")


def cases(rows: Mapping[str, Sequence[VerdictRow]]) -> EmbeddedImage:
    """How often each Case gave the label, as a bar for each run."""
    counts = {label: Counter(row.case for row in of) for label, of in rows.items()}
    known = sorted({case for count in counts.values() for case in count})
    beside = [fill(label, _NAME) for label in rows]
    with drawing(_WIDTH, 0.8 + _row(beside, 0.3) * len(rows)) as figure:
        axis = figure.subplots()
        left = np.zeros(len(rows))
        for case in known:
            fractions = np.array([count[case] / count.total() for count in counts.values()])
            colour = COLOURS[(case - 1) % len(COLOURS)]
            axis.barh(range(len(rows)), fractions, left=left, color=colour, height=0.6, label=f"Case {case}")
            left += fractions
        axis.set_yticks(range(len(rows)), beside)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        _percent_axis(axis.xaxis, axis.set_xlim)
        figure.legend(loc="outside upper left", ncols=4, fontsize=8, columnspacing=1, handlelength=1)
        words = [
            f"{label}: " + ", ".join(f"Case {case} {count[case]}" for case in known if count[case])
            for label, count in counts.items()
        ]
        return embedded(figure, f"Number of images by Case. {'; '.join(words)}.", "Percentage of the images by Case.")


def _row(names: Sequence[str], least: float) -> float:
    """Height of a row in inches, at least so much, for names of several lines."""
    return max([least, *(0.06 + _LINE * (1 + name.count("\n")) for name in names)])


def _percent_axis(axis: Any, set_limits: Any) -> None:
    set_limits(-0.02, 1.02)
    axis.set_major_formatter(percent_ticks())
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1])
    axis.grid(True)
    axis.axes.set_axisbelow(True)


def _in_words(group: Sequence[Labelled], names: Mapping[str, str]) -> str:
    lines = []
    for label, result in group:
        known = [(title, measured(result, name)) for name, title in names.items()]
        values = [f"{title} {percent(a.measured)} %" for title, a in known if a and a.measured is not None]
        lines.append(f"{label}: {', '.join(values)}")
    return f"Accuracy by defender. {'; '.join(lines)}."


def _size(patch: Patch) -> tuple[int, str]:
    """Squares by their size, then the others."""
    return (patch, "") if isinstance(patch, int) else (2**31, patch_text(patch))
