"""What accuracies cost, on the page: figures, and tables of the points in them."""

from collections.abc import Sequence

from mrcert_pl.reporting.page.accuracy import accuracy_cell
from mrcert_pl.reporting.page.frontier import COMPARED, frontier, priced, title_of
from mrcert_pl.reporting.page.frontier_figure import against_cost
from mrcert_pl.reporting.page.parts import Section, Share, Table
from mrcert_pl.reporting.summary import Result, gflops_text

_TEXT = [
    "GFLOPs per image: the image encoded once, and all mutants that were evaluated for it; a multiplication and an "
    "addition are two operations. The line is the frontier: to get more, one has to pay more. What certifies nothing "
    "is left out."
]


def cost_sections(results: Sequence[Result]) -> list[Section]:
    """Accuracy against cost as figures, then as tables; none without two costs on the same images."""
    groups = priced(results)
    if not groups:
        return []
    return [
        Section("Accuracy against cost", _TEXT, pictures=[against_cost(group) for group in groups], size="wide"),
        Section("Cost by configuration", tables=[_table(group) for group in groups]),
    ]


def _table(group: Sequence[Result]) -> Table:
    header = ["configuration", "GFLOPs per image", *COMPARED.values(), "on the frontier"]
    caption = f"{title_of(group)}: numbered as in the figure, accuracy in %"
    return Table(caption, header, [_row(one, group) for one in group])


def _row(one: Result, group: Sequence[Result]) -> list[str | Share]:
    best = [title for name, title in COMPARED.items() if one in frontier(group, name)]
    name = f"{one['number']}: {one['base']}, {one['label']}"
    return [name, gflops_text(one), *(accuracy_cell(one, accuracy) for accuracy in COMPARED), ", ".join(best)]
