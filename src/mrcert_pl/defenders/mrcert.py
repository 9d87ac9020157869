"""MRCert: certified recovery that survives a patch that is already there (docs/theory.md, sections 3 and 8)."""

from typing import Literal, get_args

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.base import NO_WITNESS, first
from mrcert_pl.defenders.lazy import around_open_places, contenders, entries_of, optimistic_completion
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import certain, certificates, check_settings, counted, covered, witnesses
from mrcert_pl.errors import unknown
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

Certificate = Literal["paper", "sharp"]


class MRCert(MaskingDefender):
    """MRCert built for ``patches`` patches, earlier and later ones together (the paper has two).

    With ``p(U)`` the label when the union ``U`` is hidden and ``U_k`` the unions of at most ``k`` masks, ``S`` is a
    *witness* if it is in ``U_N`` and ``p(S | T) = p(S)`` for all ``T`` in ``U_N``, where ``N = patches``.

    - Case ``k + 1``: there is a witness of ``k`` masks and none of fewer -> the label of the first one.
      For two patches these are the paper's Cases 1, 2 and 3. All witnesses have the same label (Claim 1).
    - Case ``N + 2``: there is no witness -> the label of the unmasked image.

    Both certificates are about this one rule, neither looks at the true label, and ``paper`` implies ``sharp``:

    - ``sharp`` (Theorems 7 and 8): ``r`` patches are certified if every ``R`` in ``U_r`` lies inside a witness, which
      is also necessary. Certified: one patch; round trip: two, one earlier and one later. A mask is safe if it lies
      inside a witness.
    - ``paper`` (Theorems 2 and 3): certified if some ``S`` of at most ``N - 1`` masks has ``p(S | T) = p(S)`` for all
      ``T`` in ``U_{N+1}`` (Lemma 1 for no mask, Lemma 2 for one); round trip if ``p(T) = p(no mask)`` for all ``T`` in
      ``U_{2N}``, for which ``N`` patches are certified (Theorem 9). It says nothing of single masks.

    No certificate is about more than ``N`` patches, so a round trip needs ``N`` of at least two.

    Args:
        patches: number of patches that the defender is built for.
        certificate: the rule of the certificates.
        margin: an entry counts inside a certificate only if its top-two logit margin exceeds this, inside a round
            trip only if it exceeds twice this (Theorem 6; 0: all count).

    Raises:
        ConfigurationError: for values out of range, or a margin with a table that has none.
    """

    def __init__(self, patches: int = 2, certificate: Certificate = "paper", margin: float = 0.0) -> None:
        check_settings(patches, margin)
        if certificate not in get_args(Certificate):
            raise unknown("MRCert certificate", certificate, get_args(Certificate))
        self.name = "mrcert" if certificate == "paper" else f"mrcert_{certificate}"
        self.patches = patches
        self.certificate = certificate
        self.margin = margin
        self.order = 2 * patches
        self.initial_order = patches
        if patches == 1:
            self.round_trip_note = "a round trip is two patches, and this defender is built for one"

    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        lattice, n, device = table.mutants, self.patches, table.labels.device
        witness = first(witnesses(table.labels, lattice.join(n, n).to(device), optimistic))
        found = witness != NO_WITNESS
        column = witness.clamp(min=0)
        label = table.labels.gather(1, column[:, None])[:, 0].long()
        certify = self._paper if self.certificate == "paper" else self._sharp
        return Verdicts(
            label=label,
            case=torch.where(found, lattice.orders.to(device)[column] + 1, n + 2),
            witness=witness,
            level=n * found,
            **certify(optimistic_completion(table, label) if optimistic else table, label, output),
        )

    def useful_entries(self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Tensor) -> BoolTensor:
        n, device = self.patches, table.labels.device
        if output == OutputLevel.LABEL:
            join = table.mutants.join(n, n).to(device)
            sure, possible = (witnesses(table.labels, join, optimistic) for optimistic in (False, True))
            return entries_of(contenders(sure, possible), join, table.mutants)
        margin = self.margin * (2 if output == OutputLevel.ROUND_TRIP else 1)
        if self.certificate == "sharp":
            return around_open_places(table, label, n, margin)
        join = table.mutants.join(*self._sides(output)).to(device)
        best = optimistic_completion(table, label)
        return entries_of(certain(counted(best, margin), best.labels, label, join), join, table.mutants)

    def _sharp(self, table: PredictionTable[UnionLattice], label: Tensor, output: OutputLevel) -> dict[str, Tensor]:
        lattice, n = table.mutants, self.patches
        join, inside = (part.to(label.device) for part in (lattice.join(n, n), lattice.containing(n)))

        def safe(margin: float, masks: int) -> BoolTensor:
            found = certain(counted(table, margin), table.labels, label, join)
            return covered(found, inside[: lattice.size(masks)])

        return certificates(safe, lattice, n, self.margin, output)

    def _paper(self, table: PredictionTable[UnionLattice], label: Tensor, output: OutputLevel) -> dict[str, Tensor]:
        n = self.patches

        def some(claim: OutputLevel, margin: float) -> Tensor:
            """[image]: a set S of so many masks keeps the label with all T of so many."""
            join = table.mutants.join(*self._sides(claim)).to(label.device)
            return certain(counted(table, margin), table.labels, label, join).any(1)

        certified = some(OutputLevel.CERTIFICATE, self.margin)
        round_trip = some(OutputLevel.ROUND_TRIP, 2 * self.margin) & (n > 1)
        # A witness, one patch, all N of them: each implies the one before.
        patches = some(OutputLevel.MAP, self.margin) * 1 + certified + (n - 1) * round_trip - 1
        return {"certified": certified, "round_trip": round_trip, "certified_patches": patches}

    def _sides(self, output: OutputLevel) -> tuple[int, int]:
        """Masks of ``S`` and of ``T`` in the paper's conditions, and in that for a witness."""
        n = self.patches
        return {OutputLevel.CERTIFICATE: (n - 1, n + 1), OutputLevel.ROUND_TRIP: (0, 2 * n)}.get(output, (n, n))
