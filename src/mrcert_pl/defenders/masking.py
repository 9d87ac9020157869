"""Defenders that hide unions of covering masks."""

from abc import abstractmethod
from typing import Any

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.base import Defender, Verdicts, Want, asked
from mrcert_pl.defenders.lazy import differ, heaviest
from mrcert_pl.defenders.witnesses import in_parts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.mutants.table import PredictionTable


class MaskingDefender(Defender[UnionLattice]):
    """A defender that decides on the labels of all unions of up to ``order`` covering masks.

    Attributes:
        order: highest order of unions that it looks at.
        begin: order up to which it looks at all unions, whatever their labels are.
    """

    order: int
    begin: int

    def mutants(self, model: Any, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> UnionLattice:
        if not hasattr(model, "covering_masks"):
            raise ConfigurationError(
                f"{type(self).__name__} hides windows of a grid, and {type(model).__name__} has none: "
                "take another model (model=vit_srf) or another defender (defender=vot)"
            )
        masks = model.covering_masks(patch, stride)
        try:
            return UnionLattice(masks, model.windows, self.order)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}; {model.advice(patch, self.order, stride)}") from error

    def next_queries(self, table: PredictionTable[UnionLattice]) -> BoolTensor:
        if table.lattice.order < self.order:
            raise ConfigurationError(
                f"{type(self).__name__} needs the labels of unions of up to {self.order} masks; "
                f"the table has them up to {table.lattice.order}"
            )
        if self.want == "table":
            return _missing(table, self.order)
        return torch.cat([self._next(part) for part in in_parts(table, self.begin)])  # type: ignore[return-value]

    def _next(self, table: PredictionTable[UnionLattice]) -> BoolTensor:
        """What is missing of the first orders; then, want by want, what may decide what isn't settled (Theorem 20)."""
        wanted = _missing(table, self.begin)
        rows = (_missing(table, self.order).any(1) & ~wanted.any(1)).nonzero()[:, 0]
        for want in asked(self.want):
            part = table.rows(rows)
            cautious, hopeful = (self._decide_part(part, want, hope) for hope in (False, True))
            unsettled = differ(cautious, hopeful, want)
            wanted[rows[unsettled]] = self._round(part.rows(unsettled), want, cautious.label[unsettled])
            rows = rows[~unsettled]
        return wanted

    def _round(self, table: PredictionTable[UnionLattice], want: Want, label: Tensor) -> BoolTensor:
        missing = _missing(table, self.order)
        useful = self._useful(table, want, label) & missing
        useful = torch.where(useful.any(1, keepdim=True), useful, missing)
        evaluated = table.evaluated.sum(1) - table.lattice.size(self.begin)
        return heaviest(useful, evaluated, table.lattice)

    def _decide(self, table: PredictionTable[UnionLattice]) -> Verdicts:
        return Verdicts.cat([self._decide_part(part, self.want) for part in in_parts(table, self.begin)])

    @abstractmethod
    def _decide_part(self, table: PredictionTable[UnionLattice], want: Want, hope: bool = False) -> Verdicts:
        """Decide on a few images.

        Args:
            table: labels of all unions of up to ``begin`` masks, and of others.
            want: fields beyond it are of no use.
            hope: whether labels that are not known agree wherever that is of use; otherwise they never do.
        """

    def _useful(self, table: PredictionTable[UnionLattice], want: Want, label: Tensor) -> BoolTensor:
        """``[image, mutant]``: entries some of which may soon decide what ``want`` adds, if it isn't settled."""
        return torch.ones_like(table.evaluated)  # type: ignore[return-value]


def _missing(table: PredictionTable[UnionLattice], order: int) -> BoolTensor:
    missing = ~table.evaluated
    missing[:, table.lattice.size(order) :] = False
    return missing  # type: ignore[return-value]
