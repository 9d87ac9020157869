"""The labels of refined unions: that of the first closure that the model is sure of (docs/theory.md, section 15)."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.geometry import UnionLattice
from mrcert_pl.geometry.refined import RefinedUnions
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable, rounded_down

# Log-odds are stored in float32: the relative rounding error of one.
_ROUNDING = 2.0**-23
# Smallest number of further entries of a query round; each further round doubles the total.
_ROUND = 32


def refined(table: PredictionTable[RefinedUnions]) -> PredictionTable[UnionLattice]:
    """Return the labels of the unions of the finest level (Definition 15), missing where a level is missing.

    The margin of an entry is such that in another run, whose logits differ by at most half of it, the label is the same
    (Theorem 25). The log-odds are those of the label.

    Args:
        table: labels, margins and log-odds of the unions of all levels.
    """
    mutants, device = table.mutants, table.labels.device
    assert table.margins is not None
    assert table.log_odds is not None
    threshold = math.log(mutants.threshold / (1 - mutants.threshold))
    shape = (len(table.labels), len(mutants.finest))
    labels = torch.full(shape, NOT_EVALUATED, dtype=table.labels.dtype, device=device)
    margins, log_odds = (torch.full(shape, torch.nan, device=device) for _ in range(2))
    undecided = torch.ones(shape, dtype=torch.bool, device=device)
    last = mutants.path.shape[1] - 1
    earlier: list[tuple[Tensor, Tensor, Tensor]] = []
    for level in range(last + 1):
        column = mutants.path[:, level].to(device)
        label, margin, odds = (part[:, column] for part in (table.labels, table.margins, table.log_odds))
        beyond = _surely(odds, threshold)
        undecided &= label != NOT_EVALUATED
        here = undecided & (odds.double() >= threshold) if level < last else undecided
        kept = margin if level == last else torch.minimum(margin, beyond)
        for other, other_margin, below in earlier:
            # Should the earlier closure be settled in another run, then with the same label.
            kept = torch.minimum(kept, torch.maximum(other_margin.where(other == label, 0.0), below))
        labels = torch.where(here, label, labels)
        margins = torch.where(here, rounded_down(kept.clamp(min=0)), margins)
        log_odds = torch.where(here, odds, log_odds)
        undecided = undecided & ~here
        earlier.append((label, margin, _surely(-odds, -threshold)))
    return PredictionTable(mutants.finest, labels, margins, log_odds)


def columns_to_query(
    table: PredictionTable[RefinedUnions], wanted: Bool[Tensor, "image union"]
) -> Bool[Tensor, "image mutant"]:
    """Return the columns to evaluate next for entries of the finest level that have no label.

    The closures of the first level come first; one of them may settle hundreds of entries. After these, unions whose
    closure dissents from the unmasked image, those with the fewest visible windows first.

    Args:
        table: labels so far.
        wanted: entries of the finest level without a label.
    """
    mutants, device = table.mutants, table.labels.device
    evaluated = table.evaluated
    columns = torch.zeros_like(evaluated)
    rows, unions = wanted.nonzero(as_tuple=True)
    path = mutants.path.to(device)
    for level in range(path.shape[1]):
        missing = ~evaluated[rows, path[unions, level]]
        columns[rows[missing], path[unions[missing], level]] = True
        rows, unions = rows[~missing], unions[~missing]
    coarsest = columns & mutants.coarsest.to(device)
    further = columns & ~coarsest.any(1, keepdim=True)
    parent = mutants.parent.to(device).clamp(min=0)
    dissenting = further & (table.labels[:, parent] != table.labels[:, :1])
    further = torch.where(dissenting.any(1, keepdim=True), dissenting, further)
    return coarsest | _fewest_visible(further, further_columns(table).clamp(min=_ROUND), mutants.visible)


def further_columns(table: PredictionTable[RefinedUnions]) -> Int[Tensor, " image"]:
    """Number of evaluated columns below the first level."""
    return (table.evaluated & ~table.mutants.coarsest.to(table.labels.device)).sum(1)


def _surely(log_odds: Float[Tensor, "image union"], threshold: float) -> Float[Tensor, "image union"]:
    """Distance of the log-odds above the threshold, less what they may have been rounded by."""
    exact = log_odds.double()
    return (exact - threshold - exact.abs().nan_to_num(posinf=0.0) * _ROUNDING).float()


def _fewest_visible(
    columns: Bool[Tensor, "image mutant"], most: Int[Tensor, " image"], visible: Int[Tensor, " mutant"]
) -> Bool[Tensor, "image mutant"]:
    order = visible.argsort(stable=True).to(columns.device)
    ranked = columns[:, order]
    ranked &= ranked.cumsum(1) <= most[:, None]
    return torch.zeros_like(columns).scatter_(1, order.expand_as(ranked), ranked)
