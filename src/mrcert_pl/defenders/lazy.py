"""Lazy evaluation: settled verdicts, and the entries to query until then (docs/theory.md, section 13)."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import certain, covered, trusted
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable


def optimistic_completion(
    table: PredictionTable[UnionLattice], label: Int[Tensor, " image"]
) -> PredictionTable[UnionLattice]:
    """Return the optimistic completion of a partial table: missing entries get ``label`` and an infinite margin."""
    labels = torch.where(table.evaluated, table.labels, label[:, None].to(table.labels.dtype))
    margins = None if table.margins is None else table.margins.masked_fill(~table.evaluated, torch.inf)
    return PredictionTable(table.mutants, labels, margins)


def differ(one: Verdicts, other: Verdicts, output: OutputLevel) -> Bool[Tensor, " image"]:
    """Whether two decisions differ in a field that the output level adds to the lower ones."""
    differences = torch.zeros_like(one.label, dtype=torch.bool)
    for name in output.fields:
        here, there = getattr(one, name), getattr(other, name)
        if here is not None:
            differences |= (here != there)[:, None].flatten(1).any(1)
    return differences


def contenders(sure: Bool[Tensor, "image S"], possible: Bool[Tensor, "image S"]) -> Bool[Tensor, "image S"]:
    """Possible but not certain witnesses that precede the first certain one."""
    return possible & ~sure & (sure.cumsum(1) == 0)


def fewest_masks(candidates: Bool[Tensor, "image S"], lattice: UnionLattice) -> Bool[Tensor, "image S"]:
    """Those candidates of each image that have the fewest masks."""
    orders = lattice.orders[: candidates.shape[1]].to(candidates.device)
    fewest = orders.masked_fill(~candidates, lattice.order + 1).amin(1, keepdim=True)
    return candidates & (orders == fewest)


def entries_of(
    candidates: Bool[Tensor, "image S"], join: Int[Tensor, "S T"], lattice: UnionLattice
) -> Bool[Tensor, "image mutant"]:
    """Entries ``S | T`` of the candidates ``S`` with the fewest masks."""
    image, first = fewest_masks(candidates, lattice).nonzero(as_tuple=True)
    entries = torch.zeros(len(candidates), len(lattice), dtype=torch.bool, device=candidates.device)
    entries[image[:, None], join[first]] = True
    return entries


def around_open_locations(
    table: PredictionTable[UnionLattice], label: Int[Tensor, " image"], patches: int, margin: float
) -> Bool[Tensor, "image mutant"]:
    """Entries of possible witnesses over a location ``R`` that may lie inside one.

    Args:
        table: partial table.
        label: label of the verdict.
        patches: largest number of masks of a witness.
        margin: margin of trusted entries.
    """
    lattice, best = table.mutants, optimistic_completion(table, label)
    join, inside = lattice.join(patches, patches).to(label.device), lattice.containing(patches).to(label.device)
    sure, possible = (certain(trusted(known, margin), known.labels, label, join) for known in (table, best))
    locations = fewest_masks(covered(possible, inside) & ~covered(sure, inside), lattice)
    over = locations.float() @ inside[:, : len(join)].float() > 0
    return entries_of(possible & ~sure & over, join, lattice)
