"""Lazy evaluation: when a verdict is settled, and what to ask for until it is (docs/theory.md, section 13)."""

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import certain, counted, covered, entries_around
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

# The first round around open candidates asks for this share of the mutants, each further one for twice as many: rounds
# cost time, and large ones ask for what the answers of small ones would have made needless.
_SHARE = 16


def optimistic_completion(table: PredictionTable[UnionLattice], label: Tensor) -> PredictionTable[UnionLattice]:
    """The table in which all that is not known has the ``label`` ``[image]`` and counts: the best for a certificate."""
    labels = torch.where(table.evaluated, table.labels, label[:, None].to(table.labels.dtype))
    margins = None if table.margins is None else table.margins.masked_fill(~table.evaluated, torch.inf)
    return PredictionTable(table.mutants, labels, margins)


def differ(one: Verdicts, other: Verdicts, output: OutputLevel) -> BoolTensor:
    """``[image]``: whether two decisions differ in a field that the output level adds to the lower ones."""
    differences = torch.zeros_like(one.label, dtype=torch.bool)
    for name in output.fields:
        here, there = getattr(one, name), getattr(other, name)
        if here is not None:
            differences |= (here != there)[:, None].flatten(1).any(1)
    return differences  # type: ignore[return-value]


def contenders(sure: Tensor, possible: Tensor) -> BoolTensor:
    """``[image, S]``: what may be a witness and isn't known to be one, before the first that is."""
    return possible & ~sure & (sure.cumsum(1) == 0)  # type: ignore[return-value]


def fewest_masks(candidates: Tensor, lattice: UnionLattice) -> BoolTensor:
    """Of the candidates ``[image, S]`` those with the fewest masks."""
    orders = lattice.orders[: candidates.shape[1]].to(candidates.device)
    fewest = orders.masked_fill(~candidates, lattice.order + 1).amin(1, keepdim=True)
    return candidates & (orders == fewest)  # type: ignore[return-value]


def entries_of(candidates: Tensor, join: Tensor, lattice: UnionLattice) -> BoolTensor:
    """``[image, mutant]``: whether the entry is ``S | T`` for one of the candidates ``S`` with the fewest masks."""
    return fewest_masks(candidates, lattice).float() @ entries_around(join, len(lattice)) > 0  # type: ignore[return-value]


def around_open_places(table: PredictionTable[UnionLattice], label: Tensor, patches: int, margin: float) -> BoolTensor:
    """``[image, mutant]``: the entries of what may be a witness over a place that may lie inside one.

    Args:
        table: what is known.
        label: ``[image]``.
        patches: masks of a witness.
        margin: entries of a witness have a larger one.
    """
    lattice, best = table.mutants, optimistic_completion(table, label)
    join, inside = lattice.join(patches, patches).to(label.device), lattice.containing(patches).to(label.device)
    sure, possible = (certain(counted(known, margin), known.labels, label, join) for known in (table, best))
    places = fewest_masks(covered(possible, inside) & ~covered(sure, inside), lattice)
    over = places.float() @ inside[:, : len(join)].float() > 0
    return entries_of(possible & ~sure & over, join, lattice)


def heaviest(useful: Tensor, evaluated: Tensor, lattice: UnionLattice) -> BoolTensor:
    """A round of the ``useful`` entries ``[image, mutant]``, those with the fewest visible windows: they dissent most.

    Args:
        useful: where to choose from.
        evaluated: ``[image]``, how many entries earlier rounds have asked for: as many again.
        lattice: of the mutants.
    """
    order = lattice.visible.argsort(stable=True).to(useful.device)
    ranked = useful[:, order]
    ranked &= ranked.cumsum(1) <= evaluated.clamp(min=-(-len(lattice) // _SHARE))[:, None]
    return torch.zeros_like(useful).scatter_(1, order.expand_as(ranked), ranked)  # type: ignore[return-value]
