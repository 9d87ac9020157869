"""Figures of accuracy against cost, for the page and as files for papers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole
from mrcert_pl.results.labels import grouped, patch_text
from mrcert_pl.results.pareto import Point, compared, frontier, priced
from mrcert_pl.results.seeds import AnyResult
from mrcert_pl.views.drawing import INK, EmbeddedImage, drawing, embedded, error_bars, look, percent_ticks
from mrcert_pl.views.words import ALL_TITLES, bar_words, gflops_text, percent

# The kinds of files, and the metadata that would differ between two runs.
_UNSAID: dict[str, Any] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
_DETECTION = "certified_detection"
_WIDTH, _PANEL, _LINE = 9.4, 3.1, 0.17
# Characters of a line of the key.
_KEY = 150
_HOW = "Filled, on the line: Pareto front. Points of equal cost and similar accuracy stand side by side."
_HOW_DETECTION = "Filled without a line: Pareto front of detection, cost and alerts on clean images (in brackets)."
# Fractions of the range of costs: left free on both sides, and between points of equal cost.
_LEFT, _RIGHT, _ASIDE = 0.06, 0.14, 0.035
# Points of equal cost are beside each other within this fraction of the range of accuracies, which is at least so much.
_APART, _LEAST_HEIGHT = 0.05, 0.1
# Smallest ratio of the axis' ends, so that it has numbers.
_LEAST_RANGE = 2.2
# From this ratio on, powers of ten are numbers enough.
_FEW_NUMBERS = 300


def against_cost(group: Sequence[Point]) -> EmbeddedImage:
    """The figure of one group of :func:`mrcert_pl.results.pareto.priced`."""
    with drawing(_WIDTH, _height(group)) as figure:
        _draw(figure, [group])
        best = [f"{ALL_TITLES[name]}: {_in_words(group, name)}" for name in compared(group)]
        words = f"Pareto front. {'; '.join(best)}."
        return embedded(figure, f"Accuracy against GFLOPs per image, {title_of(group)}. {words}", words)


def write_frontier(path: Path, results: Sequence[AnyResult]) -> Path:
    """Write the figures of all groups as one file, SVG, PNG or PDF by its suffix.

    Raises:
        ResultsError: For another suffix, without two costs to compare, or if the file cannot be written.
    """
    kind = path.suffix[1:].lower()
    if kind not in _UNSAID:
        raise ResultsError(f"{path} is no name of a figure; choose one that ends in .{', .'.join(_UNSAID)}")
    if not (groups := priced(results)):
        raise ResultsError(
            "no two of these evaluations certify something on the same images at different costs; older ones have no "
            "cost: evaluate again (mrcert eval table=... with the stored labels takes seconds)"
        )
    with drawing(_WIDTH, sum(map(_height, groups))) as figure:
        _draw(figure, groups)
        options: Any = {"format": kind, "metadata": _UNSAID[kind], "dpi": 200}
        return write_whole(path, lambda partial: figure.savefig(partial, **options), chosen_by="--frontier")


def title_of(group: Sequence[Point]) -> str:
    """The images and the patch of a group."""
    one = group[0].result
    return f"{one.dataset}, patch {patch_text(one.patch)}, {one.n} images"


def _draw(figure: Figure, groups: Sequence[Sequence[Point]]) -> None:
    heights = [_height(group) for group in groups]
    parts = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels = [panel for part, group in zip(parts, groups, strict=True) for panel in _panels(part, group)]
    for part in parts:
        # adjustText draws the figure of an axis; a SubFigure lacks that method.
        vars(part).update(draw_without_rendering=figure.draw_without_rendering)
    # The positions of points are known when the layout is.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis, numbers in panels:
        _place(axis, numbers)


def _place(axis: Axes, numbers: Sequence[Text]) -> None:
    """Move numbers off each other and off the points."""
    x, y = zip(*(number.get_position() for number in numbers), strict=True)
    # A limit of iterations, not of time: the same results give the same figure.
    adjust_text(list(numbers), x=list(x), y=list(y), ax=axis, expand=(1.25, 1.35), iter_lim=300)


def _panels(figure: SubFigure, group: Sequence[Point]) -> list[tuple[Axes, list[Text]]]:
    """Draw a group below its title and above its key; return the panels with the numbers of their points."""
    bases = grouped(group, [point.base for point in group])
    looks = {base[0].base: look(number) for number, base in enumerate(bases)}
    keys = [
        Line2D([], [], marker=marker, color=colour, ls="", ms=5.5, label="\n".join(_key(base)))
        for base, (marker, colour) in zip(bases, looks.values(), strict=True)
    ]
    figure.suptitle(title_of(group), x=0.01, ha="left", fontsize=10)
    style: Any = {"fontsize": 8, "title_fontsize": 8, "alignment": "left", "handletextpad": 0.2, "labelspacing": 0.35}
    names = compared(group)
    how = f"{_HOW} {bar_words([point.result for point in group])}."
    how += f"\n{_HOW_DETECTION}" if _DETECTION in names else ""
    figure.legend(handles=keys, title=how, loc="outside lower left", **style)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    return [(axis, _draw_panel(axis, group, name, looks)) for axis, name in zip(axes, names, strict=True)]


def _draw_panel(axis: Axes, group: Sequence[Point], name: str, looks: Mapping[str, tuple[str, str]]) -> list[Text]:
    """Draw one accuracy against cost: points with intervals, the front as a line of steps; return the numbers."""
    costs = [point.gflops for point in group]
    span = max(max(costs) / min(costs), _LEAST_RANGE)
    end = max(costs) * span**_RIGHT
    axis.set(xscale="log", xlim=(min(costs) / span**_LEFT, end), xlabel="GFLOPs per image")
    axis.set_title(f"{ALL_TITLES[name]} accuracy", loc="left", fontsize=9)
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if span > _FEW_NUMBERS else (1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(percent_ticks())
    axis.grid(True)
    axis.set_axisbelow(True)

    best = frontier(group, name)
    if name != _DETECTION:
        corners = [(point.gflops, point.value(name)) for point in best]
        x, y = zip(*corners, (end, corners[-1][1]), strict=True)
        axis.step(x, y, where="post", color=INK, alpha=0.55, lw=1.2, zorder=1)
    numbers = []
    for point, x_here in _side_by_side(group, name, span):
        marker, colour = looks[point.base]
        on, y_here = point in best, point.value(name)
        bars = error_bars([point.result.accuracy[name]])
        axis.errorbar(x_here, y_here, bars, color=colour, lw=1, alpha=0.7, zorder=2)
        fill: Any = {"mfc": colour, "ms": 6.5} if on else {"mfc": "none", "ms": 5.5}
        axis.plot(x_here, y_here, marker, color=colour, zorder=3, clip_on=False, **fill)
        # In the colour of the text: on a dark page small numbers in blue are hard to read.
        number = axis.text(x_here, y_here, str(point.number), fontsize=7.5, fontweight="bold" if on else "normal")
        number.set_in_layout(False)
        numbers.append(number)
    return numbers


def _side_by_side(group: Sequence[Point], name: str, span: float) -> list[tuple[Point, float]]:
    """The points that have the accuracy with their abscissas: at their cost, or beside it if another one is there."""
    shown = [point for point in group if point.value(name) > 0]
    values = [point.value(name) for point in shown]
    apart = _APART * max(max(values) - min(values), _LEAST_HEIGHT)
    placed = []
    for same in grouped(shown, [gflops_text(point.gflops) for point in shown]):
        lowest: list[float] = []  # of the points at each place
        for point in sorted(same, key=lambda point: point.value(name), reverse=True):
            value = point.value(name)
            place = next((place for place, low in enumerate(lowest) if low - value > apart), len(lowest))
            lowest[place : place + 1] = [value]
            placed.append((point, point.gflops * span ** (_ASIDE * place)))
    return placed


def _height(group: Sequence[Point]) -> float:
    explained = 2 + (_DETECTION in compared(group))
    return _PANEL + _LINE * (explained + sum(map(len, map(_key, grouped(group, [point.base for point in group])))))


def _key(base: Sequence[Point]) -> list[str]:
    """The lines of the key for one base model."""
    # Broken between points, never inside one.
    parts = [f"{point.number} {_named(point)}".replace(" ", "\N{NO-BREAK SPACE}") for point in base]
    return wrap(f"{base[0].base}:  {',  '.join(parts)}", _KEY)


def _in_words(group: Sequence[Point], name: str) -> str:
    return ", ".join(
        f"{point.base}, {_named(point)} ({percent(point.value(name))} % for {gflops_text(point.gflops)} GFLOPs)"
        for point in frontier(group, name)
    )


def _named(point: Point) -> str:
    return point.label if point.alerts is None else f"{point.label} ({percent(point.alerts)} % alerts)"
