"""Defenders that hide unions of covering masks."""

from abc import abstractmethod
from typing import Any

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.base import Defender
from mrcert_pl.defenders.lazy import differ, heaviest
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import in_parts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.mutants.table import PredictionTable


class MaskingDefender(Defender[UnionLattice]):
    """A defender that decides on the labels of all unions of up to ``order`` covering masks.

    Attributes:
        order: highest order of unions that it looks at.
        initial_order: order up to which it looks at all unions, whatever their labels are.
    """

    order: int
    initial_order: int

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
        if table.mutants.order < self.order:
            raise ConfigurationError(
                f"{type(self).__name__} needs the labels of unions of up to {self.order} masks; "
                f"the table has them up to {table.mutants.order}"
            )
        if self.output == OutputLevel.TABLE:
            return _missing(table, self.order)
        return torch.cat([self._next(part) for part in in_parts(table, self.initial_order)])  # type: ignore[return-value]

    def _next(self, table: PredictionTable[UnionLattice]) -> BoolTensor:
        """Missing entries of the first orders; after these, entries that may settle a level (Theorem 20)."""
        wanted = _missing(table, self.initial_order)
        rows = (_missing(table, self.order).any(1) & ~wanted.any(1)).nonzero()[:, 0]
        for output in self.output.up_to():
            part = table.rows(rows)
            pessimistic, best = (self.decide_part(part, output, optimistic) for optimistic in (False, True))
            unsettled = differ(pessimistic, best, output)
            wanted[rows[unsettled]] = self._round(part.rows(unsettled), output, pessimistic.label[unsettled])
            rows = rows[~unsettled]
        return wanted

    def _round(self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Tensor) -> BoolTensor:
        missing = _missing(table, self.order)
        useful = self.useful_entries(table, output, label) & missing
        useful = torch.where(useful.any(1, keepdim=True), useful, missing)
        evaluated = table.evaluated.sum(1) - table.mutants.size(self.initial_order)
        return heaviest(useful, evaluated, table.mutants)

    def decide_complete(self, table: PredictionTable[UnionLattice]) -> Verdicts:
        return Verdicts.cat([self.decide_part(part, self.output) for part in in_parts(table, self.initial_order)])

    @abstractmethod
    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        """Decide on a few images.

        Args:
            table: labels of all unions of up to ``initial_order`` masks, and of others.
            output: requested outputs; fields beyond them may be anything.
            optimistic: whether labels that are not known agree wherever that is of use; otherwise they never do.
        """

    def useful_entries(self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Tensor) -> BoolTensor:
        """``[image, mutant]``: entries that may settle what the output level adds; default: all."""
        return torch.ones_like(table.evaluated)  # type: ignore[return-value]


def _missing(table: PredictionTable[UnionLattice], order: int) -> BoolTensor:
    missing = ~table.evaluated
    missing[:, table.mutants.size(order) :] = False
    return missing  # type: ignore[return-value]
