"""Query rounds: which entries to evaluate next (docs/theory.md, sections 13 and 15)."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.geometry.refined import RefinedUnions
from mrcert_pl.mutants.table import PredictionTable

# Smallest number of further entries of a query round; later rounds grow by a fraction of the entries so far.
_ROUND, _GROWTH = 32, 4


def fewest_visible(
    entries: Bool[Tensor, "image mutant"], most: Int[Tensor, " image"], visible: Int[Tensor, " mutant"]
) -> Bool[Tensor, "image mutant"]:
    """Limit a query round to the entries with the fewest visible windows, which dissent most often.

    Args:
        entries: entries to choose from.
        most: largest number of entries of each image.
        visible: number of visible windows of each mutant.
    """
    order = visible.argsort(stable=True).to(entries.device)
    ranked = entries[:, order]
    ranked &= ranked.cumsum(1) <= most[:, None]
    return torch.zeros_like(entries).scatter_(1, order.expand_as(ranked), ranked)


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
    return coarsest | fewest_visible(further, (further_columns(table) // _GROWTH).clamp(min=_ROUND), mutants.visible)


def further_columns(table: PredictionTable[RefinedUnions]) -> Int[Tensor, " image"]:
    """Number of evaluated columns below the first level."""
    return (table.evaluated & ~table.mutants.coarsest.to(table.labels.device)).sum(1)
