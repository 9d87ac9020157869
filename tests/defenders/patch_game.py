"""The attacker of docs/theory.md, Definition 2, who knows no certificate's formula.

Verdicts are held against what the same defender says of the patched versions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mrcert_pl.defenders import Verdicts
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

Rule = Callable[[PredictionTable], Verdicts]


def kept_entries(lattice: UnionLattice, mask: int) -> Tensor:
    """``[mutant]``: the entries that a patch under ``mask`` can't change, because they hide all of it."""
    return torch.tensor([union & mask == mask for union in lattice.unions])


class PatchGame:
    """Every table of a lattice with ``classes`` labels, numbered by its entries as digits.

    Attributes:
        table: all of them, one after the other.
        attackers: the kept entries, one tensor ``[mutant]`` for each mask.
    """

    def __init__(self, lattice: UnionLattice, classes: int) -> None:
        self.lattice = lattice
        self.classes = classes
        digits = classes ** torch.arange(len(lattice)).flip(0)
        self.table = PredictionTable(lattice, torch.arange(classes ** len(lattice))[:, None] // digits % classes)
        self.attackers = [kept_entries(lattice, mask) for mask in lattice.masks]

    def changed(self, verdict: Tensor, kept: Tensor) -> Tensor:
        """``[table]``: whether the attacker gets another verdict (``[table]``, of any kind) on some patched version.

        The patched versions of a table are those with the same kept entries. The unmasked entry is never kept.
        """
        grid = verdict.view([self.classes] * len(self.lattice))
        free = (~kept).nonzero()[:, 0].tolist()
        return (grid.amax(free, keepdim=True) != grid.amin(free, keepdim=True)).expand_as(grid).flatten()

    def attackable(self, verdict: Tensor) -> Tensor:
        """``[table]``: whether some patch changes the verdict."""
        return torch.stack([self.changed(verdict, kept) for kept in self.attackers]).any(0)

    def broken(self, verdicts: Verdicts) -> tuple[Tensor, Tensor]:
        """``[table]`` each: the certificates, and the round trips, that some patch proves wrong."""
        relabelled = self.attackable(verdicts.label)
        uncertified = ~verdicts.certified | self.attackable(verdicts.certified)
        return verdicts.certified & relabelled, verdicts.round_trip & (relabelled | uncertified)
