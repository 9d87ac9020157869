"""Defenders that hide unions of covering masks."""

from typing import Any

import torch
from torch import BoolTensor

from mrcert_pl.defenders.base import Defender
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.mutants.table import PredictionTable


class MaskingDefender(Defender[UnionLattice]):
    """A defender that decides on the labels of all unions of up to ``order`` covering masks.

    Attributes:
        order: highest order of unions that it looks at.
    """

    order: int

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
        wanted = torch.zeros_like(table.evaluated)
        wanted[:, : table.lattice.size(self.order)] = True
        return wanted & ~table.evaluated  # type: ignore[return-value]
