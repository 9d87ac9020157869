"""The base model without a defence, for comparison."""

import torch

from mrcert_pl.defenders.base import Defender, Verdicts
from mrcert_pl.mutants.table import PredictionTable


class Undefended(Defender):
    """The label of the unmasked image, without any certificate."""

    name = "undefended"
    order = 0
    round_trip_note = "the undefended model has no certificate"

    def _decide(self, table: PredictionTable) -> Verdicts:
        label = table.labels[:, 0].long()
        never = torch.zeros_like(label, dtype=torch.bool)
        return Verdicts(label, never, never, case=torch.ones_like(label), witness=torch.full_like(label, -1))
