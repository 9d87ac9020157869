"""Votes on tiny images, all tables of them, and an attacker who knows nothing but which votes a patch touches."""

from itertools import combinations_with_replacement, product

import torch
from torch import Tensor

from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec
from mrcert_pl.mutants.table import PredictionTable


def ablations_of(
    image_px: tuple[int, int], width: int, stride: int, kind: str, patch: int | tuple[int, int]
) -> PatchedAblations:
    return PatchedAblations(Ablations(image_px, width, stride, kind), PatchSpec(patch))  # type: ignore[arg-type]


def table_of(ablations: PatchedAblations, votes: Tensor, margins: Tensor | None = None) -> PredictionTable:
    """A table whose unablated label is none of the votes: it must not matter."""
    base = torch.full((len(votes), 1), 7)
    if margins is not None:
        margins = torch.cat([torch.ones(len(votes), 1), margins], dim=1)
    return PredictionTable(ablations, torch.cat([base, votes], dim=1), margins)


def all_tables(votes: int, labels: int) -> Tensor:
    """``[table, vote]``: every one, in the order of :func:`versions`'s numbers."""
    return torch.tensor(list(product(range(labels), repeat=votes)))


def plurality(votes: Tensor) -> Tensor:
    """The label with the most votes, the smallest of several; one row at a time."""
    winners = []
    for row in votes.tolist():
        winners.append(min(set(row), key=lambda label: (-row.count(label), label)))
    return torch.tensor(winners)


def unions(touched: Tensor, patches: int) -> list[Tensor]:
    """``[vote]`` each: what ``patches`` patches touch together, for all their placements."""
    return [torch.stack(sets).any(0) for sets in combinations_with_replacement(list(touched), patches)]


def changeable(verdict: Tensor, votes: int, labels: int, sets: list[Tensor]) -> Tensor:
    """``[table]``: whether some of the sets lets the attacker reach a table with another verdict, of any kind.

    ``verdict`` ``[table]`` is over all tables; the attacker sets every vote of the set to every label.
    """
    grid = verdict.long().view([labels] * votes)
    found = torch.zeros_like(grid, dtype=torch.bool)
    for touched in sets:
        free = touched.nonzero()[:, 0].tolist()
        if free:
            found |= (grid.amax(free, keepdim=True) != grid.amin(free, keepdim=True)).expand_as(grid)
    return found.flatten()
