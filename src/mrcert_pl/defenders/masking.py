"""The base class of defenders that hide unions of covering masks."""

from abc import abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.defenders.base import Defender
from mrcert_pl.defenders.lazy import differ
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import in_parts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.mutants.queries import fewest_visible
from mrcert_pl.mutants.table import PredictionTable

# The first query round around open candidates takes this fraction of the mutants, each further one doubles the total.
# Rounds cost time, and large rounds query entries that the answers of small ones would have made superfluous.
_FRACTION = 16


@runtime_checkable
class GridModel(Protocol):
    """The geometry of a base model whose windows form a grid."""

    windows: int
    """Number of windows."""

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        """Masks that cover every placement of the patch."""
        ...

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        """Settings that work where these don't, as the end of an error message."""
        ...


class MaskingDefender(Defender[UnionLattice]):
    """A defender that decides on the labels of all unions of up to ``order`` covering masks.

    A subclass implements :meth:`decide_part`, and for a shorter lazy evaluation :meth:`useful_entries`.

    Attributes:
        order: highest order of unions in use.
        initial_order: order up to which all unions are queried first. If it is ``order``, there is no lazy evaluation.
    """

    order: int
    initial_order: int

    @abstractmethod
    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        """Decide on a few images.

        Args:
            table: labels of all unions of up to ``initial_order`` masks, and of some others.
            output: requested outputs; higher fields are ignored.
            optimistic: whether missing labels agree wherever that helps a witness or a certificate; otherwise they
                agree with nothing (docs/theory.md, Definition 13).
        """

    def useful_entries(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Int[Tensor, " image"]
    ) -> Bool[Tensor, "image mutant"]:
        """Entries that may settle the fields which the output level adds; default: all.

        The choice affects the cost of lazy evaluation, never the verdict.

        Args:
            table: partial table of images that are not settled.
            output: output level that is not settled.
            label: labels of the pessimistic decision.
        """
        return torch.ones_like(table.evaluated)

    def mutants(self, model: object, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> UnionLattice:
        if not isinstance(model, GridModel):
            raise ConfigurationError(
                f"{type(self).__name__} hides windows of a grid, and {type(model).__name__} has none: "
                "take another model (model=vit_srf) or another defender (defender=vot)"
            )
        masks = model.covering_masks(patch, stride)
        try:
            return UnionLattice(masks, model.windows, self.order)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}; {model.advice(patch, self.order, stride)}") from error

    def next_queries(self, table: PredictionTable[UnionLattice]) -> Bool[Tensor, "image mutant"]:
        self._check_mutants(table)
        if self.output == OutputLevel.TABLE:
            return _missing(table, self.order)
        return torch.cat([self._next(part) for part in in_parts(table, self.initial_order)])

    def decide_complete(self, table: PredictionTable[UnionLattice]) -> Verdicts:
        return Verdicts.cat([self.decide_part(part, self.output) for part in in_parts(table, self.initial_order)])

    def _check_mutants(self, table: PredictionTable[UnionLattice]) -> None:
        if not isinstance(table.mutants, UnionLattice):
            raise ConfigurationError(
                f"{type(self).__name__} decides on unions of covering masks; the table has {table.mutants!r}"
            )
        if table.mutants.order < self.order:
            raise ConfigurationError(
                f"{type(self).__name__} needs the labels of unions of up to {self.order} masks; "
                f"the table has them up to {table.mutants.order}"
            )

    def _next(self, table: PredictionTable[UnionLattice]) -> Bool[Tensor, "image mutant"]:
        """Missing entries of the first orders; after these, entries that may settle a level (Theorem 20)."""
        queries = _missing(table, self.initial_order)
        rows = (_missing(table, self.order).any(1) & ~queries.any(1)).nonzero()[:, 0]
        for output in self.output.up_to():
            part = table.rows(rows)
            pessimistic = self.decide_part(part, output)
            unsettled = differ(pessimistic, self.decide_part(part, output, optimistic=True), output)
            queries[rows[unsettled]] = self._round(part.rows(unsettled), output, pessimistic.label[unsettled])
            rows = rows[~unsettled]
        return queries

    def _round(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Int[Tensor, " image"]
    ) -> Bool[Tensor, "image mutant"]:
        missing = _missing(table, self.order)
        useful = self.useful_entries(table, output, label) & missing
        useful = torch.where(useful.any(1, keepdim=True), useful, missing)
        evaluated = table.evaluated.sum(1) - table.mutants.size(self.initial_order)
        most = evaluated.clamp(min=-(-len(table.mutants) // _FRACTION))
        return fewest_visible(useful, most, table.mutants.visible)


def _missing(table: PredictionTable[UnionLattice], order: int) -> Bool[Tensor, "image mutant"]:
    missing = ~table.evaluated
    missing[:, table.mutants.size(order) :] = False
    return missing
