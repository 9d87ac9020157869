"""PatchCURE and PatchCleanser: double masking (docs/theory.md, section 4)."""

from typing import Literal, get_args

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.base import NO_WITNESS, first
from mrcert_pl.defenders.lazy import contenders, entries_of, optimistic_completion
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import witnesses
from mrcert_pl.errors import unknown
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

Reference = Literal["original", "majority"]


class PatchCURE(MaskingDefender):
    """Double masking against one patch (Xiang et al., PatchCleanser 2022 and PatchCURE 2024; Theorem 4).

    Inference compares with a reference label: that of the unmasked image (``original``), or the majority of the
    labels with one mask, ties to the smallest label (``majority``, PatchCleanser's own paper).

    - Case 1: all labels with one mask are the reference -> the reference.
    - Case 2: a mask with another label, which every second mask leaves as it is -> that label.
    - Case 3: otherwise -> the reference.

    An image is certified if all its labels with one or two masks are one; the unmasked one need not be (Theorem 4).
    No round trip can be certified: a patched version of a certified image need not be certified. The witness is the
    unmasked image in Case 1 of ``original``, the mask in Case 2.
    """

    name = "patchcure"
    order = 2
    initial_order = 1
    round_trip_note = "double masking can't promise that a patched image is still certified"

    def __init__(self, reference: Reference = "original") -> None:
        if reference not in get_args(Reference):
            raise unknown("PatchCURE reference", reference, get_args(Reference))
        self.reference = reference

    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        labels, lattice = table.labels.long(), table.mutants
        reference = self._reference(table)
        agree = (labels[:, 1 : lattice.size(1)] == reference[:, None]).all(1)
        recovered = first(self._recovered(table, optimistic))
        found = recovered != NO_WITNESS
        label = torch.where(found, labels.gather(1, recovered.clamp(min=0)[:, None])[:, 0], reference)
        known = optimistic_completion(table, label) if optimistic else table
        certified = (known.labels[:, 1 : lattice.size(2)] == label[:, None]).all(1)
        unmasked = 0 if self.reference == "original" else NO_WITNESS
        return Verdicts(
            label=label,
            certified=certified,
            round_trip=torch.zeros_like(agree),
            case=torch.where(agree, 1, torch.where(found, 2, 3)),
            witness=torch.where(agree, unmasked, recovered),
            certified_patches=certified.long(),
            level=(agree | found).long(),
        )

    def useful_entries(self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Tensor) -> BoolTensor:
        if output != OutputLevel.LABEL:
            return super().useful_entries(table, output, label)
        sure, possible = (self._recovered(table, optimistic) for optimistic in (False, True))
        join = table.mutants.join(1, 1).to(label.device)
        return entries_of(contenders(sure, possible), join, table.mutants)

    def _reference(self, table: PredictionTable[UnionLattice]) -> Tensor:
        labels = table.labels.long()
        return labels[:, 0] if self.reference == "original" else _majority(labels[:, 1 : table.mutants.size(1)])

    def _recovered(self, table: PredictionTable[UnionLattice], optimistic: bool) -> Tensor:
        """``[image, S]``: the masks of Case 2 among no mask and one."""
        lattice, labels = table.mutants, table.labels
        masks = torch.arange(1, lattice.size(1), device=labels.device)
        stable = witnesses(labels, lattice.join(1, 1).to(labels.device)[:, masks], optimistic)
        found = stable & (labels[:, : len(masks) + 1] != self._reference(table)[:, None])
        found[:, 0] = False
        return found


def _majority(labels: Tensor) -> Tensor:
    """The most frequent label of each row; ``argmax`` takes the first, so ties go to the smallest label."""
    classes = int(labels.max()) + 1 if len(labels) else 1
    counts = labels.new_zeros(len(labels), classes)
    return counts.scatter_add_(1, labels, torch.ones_like(labels)).argmax(1)
