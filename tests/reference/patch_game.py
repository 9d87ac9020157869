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

SMALL_GRIDS: dict[str, tuple[tuple[int, ...], int]] = {
    "3 single windows": ((0b001, 0b010, 0b100), 3),
    "3 windows, masks of 2": ((0b011, 0b110), 3),
    "4 single windows": ((0b0001, 0b0010, 0b0100, 0b1000), 4),
    "4 windows, masks of 2": ((0b0011, 0b0110, 0b1100), 4),
    "4 windows, one mask inside another": ((0b0001, 0b0011, 0b0100, 0b1000), 4),
    "5 windows, masks of 2": ((0b00011, 0b00110, 0b01100, 0b11000), 5),
}


def small_lattice(grid: str, order: int) -> UnionLattice:
    masks, windows = SMALL_GRIDS[grid]
    return UnionLattice(masks, windows, order, allow_blind=True)


def kept_entries(lattice: UnionLattice, hidden: int) -> Tensor:
    """``[mutant]``: the entries that patches inside ``hidden`` can't change, because they hide all of it."""
    return torch.tensor([union & hidden == hidden for union in lattice.unions])


class PatchGame:
    """Every table of a lattice with ``classes`` labels, numbered by its entries as digits.

    Attributes:
        table: all of them, one after the other.
        attackers: the kept entries, one tensor ``[mutant]`` for each mask: what one patch leaves.
    """

    def __init__(self, lattice: UnionLattice, classes: int) -> None:
        self.lattice = lattice
        self.classes = classes
        digits = classes ** torch.arange(len(lattice)).flip(0)
        self.table = PredictionTable(lattice, torch.arange(classes ** len(lattice))[:, None] // digits % classes)
        self.attackers = [kept_entries(lattice, mask) for mask in lattice.masks]

    def changed(self, verdict: Tensor, kept: Tensor) -> Tensor:
        """``[table]``: whether the attacker gets another verdict (``[table]``, of any kind) on some patched version.

        The patched versions of a table are those with the same kept entries.
        """
        free = (~kept).nonzero()[:, 0].tolist()
        if not free:
            return torch.zeros_like(verdict, dtype=torch.bool)
        grid = verdict.view([self.classes] * len(self.lattice))
        return (grid.amax(free, keepdim=True) != grid.amin(free, keepdim=True)).expand_as(grid).flatten()

    def attackable(self, verdict: Tensor, patches: int = 1) -> Tensor:
        """``[table]``: whether some placement of the patches, with some content, changes the verdict."""
        places = self.lattice.unions[1 : self.lattice.size(patches)]
        return torch.stack([self.changed(verdict, kept_entries(self.lattice, place)) for place in places]).any(0)

    def broken(self, verdicts: Verdicts) -> tuple[Tensor, Tensor]:
        """``[table]`` each: the certificates, and the round trips, that some patch proves wrong."""
        relabelled = self.attackable(verdicts.label)
        uncertified = ~verdicts.certified | self.attackable(verdicts.certified)
        return verdicts.certified & relabelled, verdicts.round_trip & (relabelled | uncertified)
