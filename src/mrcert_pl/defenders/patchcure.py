"""PatchCURE and PatchCleanser: double masking (docs/theory.md, section 4)."""

from typing import Literal, get_args

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.base import NO_WITNESS, check_margin, first
from mrcert_pl.defenders.lazy import contenders, entries_of, optimistic_completion
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import counted, witnesses
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

Reference = Literal["original", "majority"]
Certificate = Literal["paper", "sharp"]


class PatchCURE(MaskingDefender):
    """Double masking against one patch (Xiang et al., PatchCleanser 2022 and PatchCURE 2024; Theorem 4).

    Inference compares with a reference label: that of the unmasked image (``original``), or the majority of the
    labels with one mask, ties to the smallest label (``majority``, PatchCleanser's own paper).

    - Case 1: all labels with one mask are the reference -> the reference.
    - Case 2: a mask with another label, which every second mask leaves as it is -> that label.
    - Case 3: otherwise -> the reference.

    The certificate requires that all labels with one or two masks are equal (Theorem 4):

    - ``sharp``: these alone;
    - ``paper``: the label of the unmasked image as well, as in the baseline of the MRCert paper. It equals MRCert for
      one patch with the certificate ``paper``. Only for the reference ``original``.

    No round trip can be certified: a patched version of a certified image need not be certified. The witness is the
    unmasked image in Case 1 of ``original``, the mask in Case 2.

    PatchCleanser's published code breaks ties of the majority in favour of the largest label. This class takes the
    smallest, as the script of the MRCert paper does (``bincount().argmax()``).

    Args:
        reference: the reference label.
        certificate: the rule of the certificate.
        margin: entries of a certificate have a top-two logit margin above this (Theorem 6; 0: no condition).

    Raises:
        ConfigurationError: for unknown names, a negative margin, a margin with a table that has none, or the
            certificate ``paper`` with the reference ``majority``.
    """

    order = 2
    initial_order = 1
    round_trip_note = "double masking can't promise that a patched image is still certified"

    def __init__(
        self, reference: Reference = "original", certificate: Certificate = "sharp", margin: float = 0.0
    ) -> None:
        if reference not in get_args(Reference):
            raise unknown("PatchCURE reference", reference, get_args(Reference))
        if certificate not in get_args(Certificate):
            raise unknown("PatchCURE certificate", certificate, get_args(Certificate))
        if certificate == "paper" and reference != "original":
            raise ConfigurationError(
                f"the PatchCURE certificate 'paper' needs the reference 'original', not {reference!r}; "
                "take certificate='sharp'"
            )
        check_margin(margin)
        self.name = "patchcure" if certificate == "sharp" else "patchcure_paper"
        self.reference = reference
        self.certificate = certificate
        self.margin = margin

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
        first_entry = 0 if self.certificate == "paper" else 1
        agreeing = counted(known, self.margin) & (known.labels == label[:, None])
        certified = agreeing[:, first_entry : lattice.size(2)].all(1)
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
