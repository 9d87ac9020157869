"""MRCert: certified recovery that survives an earlier patch (docs/theory.md, sections 3 and 8)."""

from functools import partial

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.defenders.base import NO_WITNESS, first
from mrcert_pl.defenders.lazy import around_open_locations, contenders, entries_of, optimistic_completion
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import certain, certificates, check_settings, covered, trusted, witnesses
from mrcert_pl.errors import unknown
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

_CERTIFICATES = ("paper", "sharp")


class MRCert(MaskingDefender):
    """MRCert for ``patches`` patches, earlier and later ones together; the paper has two.

    With ``p(U)`` the label when the union ``U`` is hidden and ``U_k`` the unions of at most ``k`` masks, ``S`` is a
    *witness* if it is in ``U_N`` and ``p(S | T) = p(S)`` for all ``T`` in ``U_N``, where ``N = patches``.

    - Case ``k + 1``: there is a witness of ``k`` masks and none of fewer -> the label of the first one.
      For two patches these are the paper's Cases 1, 2 and 3. All witnesses have the same label (Claim 1).
    - Case ``N + 2``: there is no witness -> the label of the unmasked image.

    Neither certificate uses the true label, and ``paper`` implies ``sharp``:

    - ``sharp`` (Theorems 7 and 8, exact): ``r`` patches are certified if every ``R`` in ``U_r`` lies inside a witness.
      Certified: one patch; round trip: two, one earlier and one later. A mask is safe if it lies inside a witness.
    - ``paper`` (Theorems 2 and 3, sufficient): certified if some ``S`` of at most ``N - 1`` masks has
      ``p(S | T) = p(S)`` for all ``T`` in ``U_{N+1}`` (Lemma 1 for no mask, Lemma 2 for one); round trip if
      ``p(T) = p(no mask)`` for all ``T`` in ``U_{2N}``, for which ``N`` patches are certified (Theorem 9). It has no
      safe masks.

    No certificate covers more than ``N`` patches, so a round trip needs ``N`` of at least two.

    Args:
        patches: number of patches that the defender is built for.
        certificate: rule of the certificates, ``paper`` or ``sharp``.
        margin: entries of a certificate have a top-two logit margin above this, entries of a round trip above twice
            this (Theorem 6; 0: no condition).

    Raises:
        ConfigurationError: for values out of range, or a margin with a table that has none.
    """

    def __init__(self, patches: int = 2, certificate: str = "paper", margin: float = 0.0) -> None:
        check_settings(patches, margin)
        if certificate not in _CERTIFICATES:
            raise unknown("MRCert certificate", certificate, _CERTIFICATES)
        self.name = "mrcert" if certificate == "paper" else "mrcert_sharp"
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
            level=torch.where(found, n, 0),
            **certify(optimistic_completion(table, label) if optimistic else table, label, output),
        )

    def useful_entries(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Int[Tensor, " image"]
    ) -> Bool[Tensor, "image mutant"]:
        n, device = self.patches, table.labels.device
        if output == OutputLevel.LABEL:
            join = table.mutants.join(n, n).to(device)
            sure, possible = (witnesses(table.labels, join, optimistic) for optimistic in (False, True))
            return entries_of(contenders(sure, possible), join, table.mutants)
        margin = self.margin * (2 if output == OutputLevel.ROUND_TRIP else 1)
        if self.certificate == "sharp":
            return around_open_locations(table, label, n, margin)
        join = table.mutants.join(*self._sides(output)).to(device)
        best = optimistic_completion(table, label)
        return entries_of(certain(trusted(best, margin), best.labels, label, join), join, table.mutants)

    def _sharp(
        self, table: PredictionTable[UnionLattice], label: Int[Tensor, " image"], output: OutputLevel
    ) -> dict[str, Tensor]:
        return certificates(partial(self._safe, table, label), table.mutants, self.patches, self.margin, output)

    def _safe(
        self, table: PredictionTable[UnionLattice], label: Int[Tensor, " image"], margin: float, masks: int
    ) -> Bool[Tensor, "image R"]:
        """Return for each location of up to ``masks`` masks whether it is inside a witness."""
        lattice, n = table.mutants, self.patches
        join, inside = (part.to(label.device) for part in (lattice.join(n, n), lattice.containing(n)))
        return covered(certain(trusted(table, margin), table.labels, label, join), inside[: lattice.size(masks)])

    def _paper(
        self, table: PredictionTable[UnionLattice], label: Int[Tensor, " image"], output: OutputLevel
    ) -> dict[str, Tensor]:
        n, holds = self.patches, partial(self._holds, table, label)
        witness = holds(OutputLevel.MAP, self.margin)
        certified = holds(OutputLevel.CERTIFICATE, self.margin)
        round_trip = holds(OutputLevel.ROUND_TRIP, 2 * self.margin) if n > 1 else torch.zeros_like(certified)
        # A round trip implies a certificate, and a certificate implies a witness.
        patches = torch.where(witness, 0, -1)
        patches = torch.where(certified, 1, patches)
        patches = torch.where(round_trip, n, patches)
        return {"certified": certified, "round_trip": round_trip, "certified_patches": patches}

    def _holds(
        self, table: PredictionTable[UnionLattice], label: Int[Tensor, " image"], claim: OutputLevel, margin: float
    ) -> Bool[Tensor, " image"]:
        """Return whether the paper's condition for a claim holds."""
        join = table.mutants.join(*self._sides(claim)).to(label.device)
        return certain(trusted(table, margin), table.labels, label, join).any(1)

    def _sides(self, output: OutputLevel) -> tuple[int, int]:
        """Largest number of masks of ``S`` and of ``T`` in the paper's conditions, by default those of a witness."""
        n = self.patches
        if output == OutputLevel.CERTIFICATE:
            return n - 1, n + 1
        if output == OutputLevel.ROUND_TRIP:
            return 0, 2 * n
        return n, n
