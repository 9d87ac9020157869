"""Accuracy against cost on the page: figures, and tables of their points."""

from collections.abc import Sequence

from mrcert_pl.results.pareto import Point, compared, frontier, priced
from mrcert_pl.results.seeds import AnyResult
from mrcert_pl.views.frontier import against_cost, title_of
from mrcert_pl.views.page.accuracy import result_cell
from mrcert_pl.views.page.parts import Number, Section, Table
from mrcert_pl.views.words import ALL_TITLES, gflops_text

_TEXT = [
    "GFLOPs per image: the image encoded once, and all mutants that were evaluated for it; a multiplication and an "
    "addition are two operations. The line is the Pareto front: no other configuration is at least as accurate at the "
    "same or a lower cost, for detection with as few alerts on clean images. Configurations that certify nothing are "
    "left out."
]


def cost_sections(results: Sequence[AnyResult]) -> list[Section]:
    """Accuracy against cost as figures, then as tables; none without two costs on the same images."""
    groups = priced(results)
    if not groups:
        return []
    return [
        Section("Accuracy against cost", _TEXT, images=[against_cost(group) for group in groups], size="wide"),
        Section("Cost by configuration", tables=[_table(group) for group in groups]),
    ]


def _table(group: Sequence[Point]) -> Table:
    header = ["configuration", "GFLOPs per image", *(ALL_TITLES[name] for name in compared(group)), "on the front"]
    caption = f"{title_of(group)}: numbered as in the figure, accuracy in %"
    return Table(caption, header, [_row(point, group) for point in group])


def _row(point: Point, group: Sequence[Point]) -> list[str | Number]:
    names = compared(group)
    best = [ALL_TITLES[name] for name in names if point in frontier(group, name)]
    name = f"{point.number}: {point.base}, {point.label}"
    numbers = [result_cell(point.result, accuracy) for accuracy in names]
    return [name, gflops_text(point.gflops), *numbers, ", ".join(best)]
