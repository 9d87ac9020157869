"""Unions of small masks, each with larger unions that contain it (docs/theory.md, section 15)."""

import copy
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.unions import UnionLattice, hidden_windows

# Pairs of unions that are compared at a time: bounds the memory.
_CHUNK = 1 << 24


class RefinedUnions:
    """The unions of the smallest masks, and their closures among the unions of larger masks (Definition 15).

    The closure of a union ``f`` of order ``k`` on a coarser level is, of the unions of at most ``k`` of its masks that
    contain ``f``, the one that leaves most windows visible, the first one of equals. It depends on the windows that
    ``f`` hides, and on nothing else.

    The columns of a table are the distinct unions of all levels, by order, then by level, coarsest first. So the
    columns of a lower order are a prefix of those of a higher one.

    Args:
        levels: lattices of the same order, coarsest first; the last one holds the unions that defenders decide on.
        threshold: confidence from which the label of a closure stands for all unions inside it, between 0 and 1.

    Attributes:
        finest: the last level.
        hidden: hidden windows of each column.
        visible: number of visible windows of each column.
        coarsest: whether each column is a union of the first level.
        path: columns of the closures of each union of the finest level on every level; the last one is the union.
        parent: column one level above each column on the path of a union, to order queries by; -1 on the first level.

    Raises:
        ConfigurationError: for fewer than two levels, a threshold out of range, lattices of other windows or orders, or
            masks of which one lies in no mask of a coarser level.
    """

    def __init__(self, levels: Sequence[UnionLattice], threshold: float) -> None:
        if len(levels) < 2:
            raise ConfigurationError("refined unions need masks of at least two sizes")
        if len({(level.windows, level.order) for level in levels}) > 1:
            raise ConfigurationError("the levels of refined unions must have the same windows and the same order")
        self.levels = tuple(levels)
        self.finest = levels[-1]
        self.threshold = checked_threshold(threshold)
        self.windows, self.order, self.masks = self.finest.windows, self.finest.order, self.finest.masks
        for coarse in levels[:-1]:
            check_nested(self.masks, coarse.masks)

        column: dict[int, int] = {}
        for order, lattice in product(range(self.order + 1), levels):
            for union in lattice.unions[lattice.size(order - 1) if order else 0 : lattice.size(order)]:
                column.setdefault(union, len(column))
        self.hidden: Bool[Tensor, "mutant window"] = hidden_windows(tuple(column), self.windows)
        self.visible: Int[Tensor, " mutant"] = self.windows - self.hidden.sum(1)
        places = [torch.tensor([column[union] for union in level.unions]) for level in levels]
        coarser = [place[closures(self.finest, level)] for place, level in zip(places[:-1], levels[:-1], strict=True)]
        self.path: Int[Tensor, "union level"] = torch.stack([*coarser, places[-1]], dim=1)
        self.coarsest: Bool[Tensor, " mutant"] = torch.zeros(len(column), dtype=torch.bool)
        self.coarsest[places[0]] = True
        self.parent: Int[Tensor, " mutant"] = torch.full((len(column),), -1)
        for depth in range(len(levels) - 1, 0, -1):
            self.parent[self.path[:, depth]] = self.path[:, depth - 1]
        self.parent[self.coarsest] = -1

    def __len__(self) -> int:
        return len(self.hidden)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(level.masks)} masks: {len(level)} unions" for level in self.levels)
        return f"RefinedUnions({sizes}, order {self.order}, threshold {self.threshold})"

    def with_threshold(self, threshold: float) -> "RefinedUnions":
        """Return the same unions with another threshold.

        Raises:
            ConfigurationError: for a threshold out of range.
        """
        other = copy.copy(self)
        other.threshold = checked_threshold(threshold)
        return other

    def summary(self) -> dict[str, int]:
        """Plain values for results: those of the finest level, and the number of columns of all levels."""
        return {**self.finest.summary(), "levels": len(self.levels), "columns": len(self)}

    def identity(self) -> dict[str, Any]:
        """Plain values shared by the refined unions of these masks and this threshold of all orders."""
        coarser = [level.identity()["masks"] for level in self.levels[:-1]]
        return {**self.finest.identity(), "coarser": coarser, "threshold": self.threshold}


def checked_threshold(threshold: float) -> float:
    """Return a threshold of refined unions.

    Raises:
        ConfigurationError: for a value that is not between 0 and 1.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise ConfigurationError(
            f"the threshold of refined unions (refine_threshold) must be between 0 and 1, got {threshold!r}"
        )
    return float(threshold)


def check_nested(fine: Sequence[int], coarse: Sequence[int]) -> None:
    """Check that every mask lies inside one of the coarser masks.

    Raises:
        ConfigurationError: for the first one that does not.
    """
    for number, mask in enumerate(fine):
        if not any(mask & ~larger == 0 for larger in coarse):
            raise ConfigurationError(
                f"mask {number} of {len(fine)} lies inside none of the {len(coarse)} masks that it should refine"
            )


def nested_strides(masks: Mapping[int, Sequence[int]], stride: int) -> list[int]:
    """Return the larger strides whose masks contain those of ``stride``, from masks by stride."""
    larger = []
    for other in sorted(masks):
        if other > stride and len(masks[other]) < len(masks[stride]):
            try:
                check_nested(masks[stride], masks[other])
            except ConfigurationError:
                continue
            larger.append(other)
    return larger


def closures(fine: UnionLattice, coarse: UnionLattice) -> Int[Tensor, " union"]:
    """Column in ``coarse`` of the closure of every union of ``fine``."""
    shown = (~coarse.hidden).float().T
    found = []
    for start in range(0, len(fine), step := max(1, _CHUNK // len(coarse))):
        part = slice(start, start + step)
        contains = fine.hidden[part].float() @ shown == 0
        contains &= coarse.orders <= fine.orders[part, None]
        # The first of the largest: argmax of a tensor with ties may return any of them.
        best = torch.where(contains, coarse.visible, -1)
        found.append((best == best.amax(1, keepdim=True)).int().argmax(1))
    return torch.cat(found)
