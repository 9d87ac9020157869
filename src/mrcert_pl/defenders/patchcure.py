"""PatchCURE and PatchCleanser: double masking (docs/theory.md, section 4)."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.defenders.base import NO_WITNESS, check_margin, first
from mrcert_pl.defenders.lazy import contenders, entries_of, optimistic_completion
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import trusted, witnesses
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

_REFERENCES = ("original", "majority")
_CERTIFICATES = ("paper", "sharp")


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
        reference: reference label, ``original`` or ``majority``.
        certificate: rule of the certificate, ``paper`` or ``sharp``.
        margin: entries of a certificate have a top-two logit margin above this (Theorem 6; 0: no condition).

    Raises:
        ConfigurationError: for unknown names, a negative margin, a margin with a table that has none, or the
            certificate ``paper`` with the reference ``majority``.
    """

    order = 2
    initial_order = 1
    round_trip_note = "double masking can't promise that a patched image is still certified"

    def __init__(self, reference: str = "original", certificate: str = "sharp", margin: float = 0.0) -> None:
        if reference not in _REFERENCES:
            raise unknown("PatchCURE reference", reference, _REFERENCES)
        if certificate not in _CERTIFICATES:
            raise unknown("PatchCURE certificate", certificate, _CERTIFICATES)
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
        agreeing = trusted(known, self.margin) & (known.labels == label[:, None])
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

    def useful_entries(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Int[Tensor, " image"]
    ) -> Bool[Tensor, "image mutant"]:
        if output != OutputLevel.LABEL:
            return super().useful_entries(table, output, label)
        sure, possible = (self._recovered(table, optimistic) for optimistic in (False, True))
        join = table.mutants.join(1, 1).to(label.device)
        return entries_of(contenders(sure, possible), join, table.mutants)

    def _reference(self, table: PredictionTable[UnionLattice]) -> Int[Tensor, " image"]:
        labels = table.labels.long()
        return labels[:, 0] if self.reference == "original" else _majority(labels[:, 1 : table.mutants.size(1)])

    def _recovered(self, table: PredictionTable[UnionLattice], optimistic: bool) -> Bool[Tensor, "image S"]:
        """Masks of Case 2 among the unions of at most one mask."""
        lattice, labels = table.mutants, table.labels
        masks = torch.arange(1, lattice.size(1), device=labels.device)
        stable = witnesses(labels, lattice.join(1, 1).to(labels.device)[:, masks], optimistic)
        found = stable & (labels[:, : len(masks) + 1] != self._reference(table)[:, None])
        found[:, 0] = False
        return found


def _majority(labels: Int[Tensor, "image mask"]) -> Int[Tensor, " image"]:
    """The most frequent label of each row; ``argmax`` takes the first, so ties go to the smallest label."""
    classes = int(labels.max()) + 1 if len(labels) else 1
    counts = labels.new_zeros(len(labels), classes)
    return counts.scatter_add_(1, labels, torch.ones_like(labels)).argmax(1)
