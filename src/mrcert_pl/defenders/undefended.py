"""The base model without a defence, for comparison."""

from typing import Protocol, runtime_checkable

import torch

from mrcert_pl.defenders.masking import GridModel, MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.mutants.table import PredictionTable


@runtime_checkable
class WindowedModel(Protocol):
    """A base model with windows of any arrangement."""

    windows: int
    """Number of windows."""


class Undefended(MaskingDefender):
    """The label of the unmasked image, without any certificate; for base models of every kind."""

    name = "undefended"
    order = 0
    initial_order = 0
    round_trip_note = "the undefended model has no certificate"

    def mutants(self, model: object, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> UnionLattice:
        if not isinstance(model, WindowedModel):
            raise ConfigurationError(f"{type(model).__name__} has no windows; take another model (model=vit_srf)")
        # With the masks of the other defenders, the table is a prefix of theirs.
        masks = model.covering_masks(patch, stride) if isinstance(model, GridModel) else (1,)
        return UnionLattice(masks, model.windows, self.order)

    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        label = table.labels[:, 0].long()
        none = torch.zeros_like(label)
        return Verdicts(
            label=label,
            certified=none.bool(),
            round_trip=none.bool(),
            case=none + 1,
            witness=none - 1,
            certified_patches=none,
            level=none,
        )
