"""One accuracy against cost: points with their intervals, and the frontier as a line of steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from mrcert_pl.reporting.page.frontier import COMPARED, frontier, share
from mrcert_pl.reporting.page.number_places import Numbered
from mrcert_pl.reporting.page.plots import error_bars
from mrcert_pl.reporting.page.svg import INK
from mrcert_pl.reporting.summary import Result, gflops_text, grouped

# Parts of the range of costs: left free on both sides, and between points of equal cost.
_LEFT, _RIGHT, _ASIDE = 0.06, 0.14, 0.035
# The axis is made for a dearest result of at least so many times the cheapest: then there are numbers on it.
_LEAST_RANGE = 2.2
# Beyond such a range powers of ten are numbers enough.
_FEW_NUMBERS = 300


def draw_panel(axis: Axes, group: Sequence[Result], name: str, looks: Mapping[str, tuple[str, str]]) -> list[Numbered]:
    """Draw an accuracy of a group of :func:`~mrcert_pl.reporting.page.frontier.priced`, some of which have it.

    Args:
        axis: where.
        group: the results.
        name: the accuracy.
        looks: marker and colour by base.

    Returns:
        The points, which have no numbers yet; those on the frontier first.
    """
    costs = [one["gflops_per_image"] for one in group]
    span = max(max(costs) / min(costs), _LEAST_RANGE)
    end = max(costs) * span**_RIGHT
    axis.set(xscale="log", xlim=(min(costs) / span**_LEFT, end), xlabel="GFLOPs per image")
    axis.set_title(f"{COMPARED[name]} accuracy", loc="left", fontsize=9)
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if span > _FEW_NUMBERS else (1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.grid(True)
    axis.set_axisbelow(True)

    best = frontier(group, name)
    corners = [(one["gflops_per_image"], share(one, name)) for one in best]
    x, y = zip(*corners, (end, corners[-1][1]), strict=True)
    axis.step(x, y, where="post", color=INK, alpha=0.55, lw=1.2, zorder=1)
    on_frontier = {one["number"] for one in best}
    points = []
    for one, x_here in _side_by_side(group, name, span):
        marker, colour = looks[one["base"]]
        on, y_here = one["number"] in on_frontier, share(one, name)
        axis.errorbar(x_here, y_here, error_bars([one["accuracy"][name]]), color=colour, lw=1, alpha=0.45, zorder=2)
        fill: Any = {"mfc": colour, "ms": 6.5} if on else {"mfc": "none", "ms": 5.5}
        axis.plot(x_here, y_here, marker, color=colour, zorder=3, clip_on=False, **fill)
        style = {"color": INK, "fontweight": "bold"} if on else {"color": colour}
        points.append(Numbered(x_here, y_here, str(one["number"]), style))
    return sorted(points, key=lambda point: point.style["color"] != INK)


def _side_by_side(group: Sequence[Result], name: str, span: float) -> list[tuple[Result, float]]:
    """The results that have the accuracy and where each stands: the best of a cost at that cost, others beside it."""
    shown = [{**one, "cost": gflops_text(one)} for one in group if share(one, name) > 0]
    places = []
    for same in grouped(shown, "cost"):
        ordered = sorted(same, key=lambda one: share(one, name), reverse=True)
        places += [(one, one["gflops_per_image"] * span ** (_ASIDE * place)) for place, one in enumerate(ordered)]
    return places
