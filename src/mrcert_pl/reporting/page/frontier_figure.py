"""Figures of accuracy against cost, for the page and as files for papers."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole
from mrcert_pl.reporting.page.frontier import COMPARED, frontier, priced, share, title_of
from mrcert_pl.reporting.page.frontier_panel import draw_panel
from mrcert_pl.reporting.page.number_places import Numbered, place_numbers
from mrcert_pl.reporting.page.plots import COLOURS, MARKERS, bar_words
from mrcert_pl.reporting.page.svg import Picture, drawing, embedded
from mrcert_pl.reporting.summary import Result, gflops_text, grouped, percent

# The kinds of files, and what they would say of the moment when they were made.
_UNSAID: dict[str, Any] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
_WIDTH, _PANEL, _LINE = 9.4, 3.1, 0.17
# Characters of a line of the key.
_KEY = 150
_HOW = "Filled, on the line: nothing cheaper is as good. Points of equal cost stand side by side."


def against_cost(group: Sequence[Result]) -> Picture:
    """The figure of one group of :func:`~mrcert_pl.reporting.page.frontier.priced`."""
    with drawing(_WIDTH, _height(group)) as figure:
        _draw(figure, [group])
        best = [f"{title}: {_in_words(group, name)}" for name, title in COMPARED.items() if frontier(group, name)]
        words = f"On the frontier. {'; '.join(best)}."
        return embedded(figure, f"Accuracy against GFLOPs per image, {title_of(group)}. {words}", words)


def write_frontier(path: Path, results: Sequence[Result]) -> Path:
    """Write the figures of all groups as one file, SVG, PNG or PDF by its suffix.

    Raises:
        ResultsError: for another suffix, if there are no two costs to compare, or if the file can't be written.
    """
    kind = path.suffix[1:].lower()
    if kind not in _UNSAID:
        raise ResultsError(f"{path} is no name of a figure; choose one that ends in .{', .'.join(_UNSAID)}")
    if not (groups := priced(results)):
        raise ResultsError(
            "no two of these evaluations certify something on the same images at different costs; older ones have no "
            "cost: evaluate again (python eval.py table=... with the stored labels takes seconds)"
        )
    with drawing(_WIDTH, sum(map(_height, groups))) as figure:
        _draw(figure, groups)
        options: Any = {"format": kind, "metadata": _UNSAID[kind], "dpi": 200}
        return write_whole(path, lambda partial: figure.savefig(partial, **options), chosen_by="--frontier")


def _draw(figure: Figure, groups: Sequence[Sequence[Result]]) -> None:
    heights = [_height(group) for group in groups]
    parts = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels = [panel for part, group in zip(parts, groups, strict=True) for panel in _panels(part, group)]
    # Where points are is known when all else has its place.
    figure.draw_without_rendering()
    for axis, points in panels:
        place_numbers(axis, points)


def _panels(figure: SubFigure, group: Sequence[Result]) -> list[tuple[Axes, list[Numbered]]]:
    """Draw a group below its title and above its key; the panels, with the points that need numbers."""
    bases = grouped(group, "base")
    looks = [
        (MARKERS[place % len(MARKERS)], COLOURS[(place + place // len(MARKERS)) % len(COLOURS)])
        for place in range(len(bases))
    ]
    keys = [
        Line2D([], [], marker=marker, color=colour, ls="", ms=5.5, label="\n".join(_key(base)))
        for base, (marker, colour) in zip(bases, looks, strict=True)
    ]
    figure.suptitle(title_of(group), x=0.01, ha="left", fontsize=10)
    style: Any = {"fontsize": 8, "title_fontsize": 8, "alignment": "left", "handletextpad": 0.2, "labelspacing": 0.35}
    figure.legend(handles=keys, title=f"{_HOW} {bar_words(group)}.", loc="outside lower left", **style)
    names = [name for name in COMPARED if frontier(group, name)]
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    look_of = {base[0]["base"]: look for base, look in zip(bases, looks, strict=True)}
    return [(axis, draw_panel(axis, group, name, look_of)) for axis, name in zip(axes, names, strict=True)]


def _height(group: Sequence[Result]) -> float:
    return _PANEL + _LINE * (2 + sum(len(_key(base)) for base in grouped(group, "base")))


def _key(base: Sequence[Result]) -> list[str]:
    """The lines of the key for one base model."""
    # Broken between results, never inside one.
    parts = [f"{one['number']} {one['label']}".replace(" ", "\N{NO-BREAK SPACE}") for one in base]
    return wrap(f"{base[0]['base']}:  {',  '.join(parts)}", _KEY)


def _in_words(group: Sequence[Result], name: str) -> str:
    return ", ".join(
        f"{one['base']}, {one['label']} ({percent(share(one, name))} % for {gflops_text(one)} GFLOPs)"
        for one in frontier(group, name)
    )
