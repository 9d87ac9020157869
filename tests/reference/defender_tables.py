"""Small grids, and random tables on them that reach every case of the defenders."""

from collections.abc import Callable

import torch
from torch import Tensor

from mrcert_pl.defenders import Verdicts
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_masks
from mrcert_pl.mutants.table import PredictionTable

# (masks, windows). On most of these four masks hide everything: with allow_blind that is a label like any other.
GRIDS: dict[str, tuple[tuple[int, ...], int]] = {
    "6 columns, masks of 2": (covering_masks((1, 6), (32, 16), PatchSpec(16)), 6),
    "9 columns, masks of 3, stride 2": (covering_masks((1, 9), (32, 16), PatchSpec(16), stride=2), 9),
    "3x3 windows, masks of 2x2": (covering_masks((3, 3), (16, 16), PatchSpec(16)), 9),
    "3x4 windows, masks of 1x2": (covering_masks((3, 4), (16, 16), PatchSpec((1, 16))), 12),
    "masks of several sizes": ((0b00000011, 0b00011100, 0b11000000, 0b01000001, 0b00100010), 8),
}
# Not every case can occur on these.
DEGENERATE: dict[str, tuple[tuple[int, ...], int]] = {
    "one mask": ((0b010,), 3),
    "one mask inside another": ((0b0001, 0b0011, 0b1100), 5),
    "one mask hides everything": ((0b111, 0b001), 3),
}


def lattice_of(grid: str, order: int) -> UnionLattice:
    masks, windows = (GRIDS | DEGENERATE)[grid]
    return UnionLattice(masks, windows, order, allow_blind=True)


def supersets(lattice: UnionLattice) -> Tensor:
    """``[union, mutant]``: whether the mutant hides at least this union."""
    if lattice.windows < 63:  # as words of a machine, for which there is a fast way
        unions = torch.tensor(lattice.unions)
        return unions & unions[:, None] == unions[:, None]
    return torch.tensor([[hidden & union == union for hidden in lattice.unions] for union in lattice.unions])


def planted_labels(lattice: UnionLattice, images: int, classes: int, seed: int) -> Tensor:
    """One label for all mutants that hide a planted union, up to some order and with a few exceptions.

    The other labels are constant or noise. Of independent labels nearly all would fall into the last case.
    """
    draw = torch.Generator().manual_seed(seed)

    def integers(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=draw)

    columns = len(lattice)
    constant, noise = integers(classes, images, 1), integers(classes, images, columns)
    background = torch.where(integers(2, images, 1).bool(), constant, noise)
    sizes = torch.tensor([lattice.size(order) for order in range(lattice.order // 2 + 1)])
    planted = (torch.rand(images, generator=draw) * sizes[integers(len(sizes), images)]).long()
    depth = lattice.order - (integers(6, images, 1) - 3).clamp(min=0)
    agree = supersets(lattice)[planted] & (lattice.orders <= depth)
    labels = torch.where(agree, integers(classes, images, 1), background)

    flipped = torch.zeros(images, columns, dtype=torch.bool)
    flipped.scatter_(1, integers(columns, images, 3), torch.arange(3) < integers(4, images, 1))
    return torch.where(flipped, integers(classes, images, columns), labels)


def as_mappings(lattice: UnionLattice, labels: Tensor) -> list[dict[int, int]]:
    return [dict(zip(lattice.unions, row, strict=True)) for row in labels.tolist()]


def planted_table(lattice: UnionLattice, images: int = 500, classes: int = 3, seed: int = 0) -> PredictionTable:
    return PredictionTable(lattice, planted_labels(lattice, images, classes, seed))


def table_of(lattice: UnionLattice, *labels: Callable[[int], int]) -> PredictionTable:
    """One row for each function from a union to its label."""
    return PredictionTable(lattice, torch.tensor([[label(union) for union in lattice.unions] for label in labels]))


def rows_of(verdicts: Verdicts) -> list[tuple[int | bool, ...]]:
    """``(label, case, certified, round_trip, witness)`` of each image."""
    columns = (verdicts.label, verdicts.case, verdicts.certified, verdicts.round_trip, verdicts.witness)
    return list(zip(*(column.tolist() for column in columns), strict=True))
