"""The cascade: MRCert, then MRCert for fewer patches, down to double masking (docs/theory.md, section 9)."""

from functools import partial

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.defenders.base import NO_WITNESS, first
from mrcert_pl.defenders.lazy import around_open_locations, contenders, entries_of, optimistic_completion
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.defenders.witnesses import (
    certain,
    certificates,
    check_settings,
    covered,
    forgeable,
    parts,
    trusted,
    witnesses,
)
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable


class MRCertCascade(MaskingDefender):
    """MRCert for ``patches`` patches; where it has no witness, for one patch less, and so on (Definition 8).

    On level ``n`` a union ``S`` in ``U_n`` is a witness if ``p(S | T) = p(S)`` for all ``T`` in ``U_n``.

    - Case 1 is level ``N = patches``, ..., Case ``N`` is level 1: the first one with a witness gives its label.
    - Case ``N + 1``: no level has a witness -> the label of the unmasked image.

    ``r`` patches are certified if for every ``R`` in ``U_r``, from the highest level down, a level with a witness that
    contains ``R`` and has the image's label precedes all levels on which an attacker under ``R`` can forge a witness
    with another label (Theorem 10, exact). Certified: one patch; round trip: two, one earlier and one later
    (Theorem 11). A mask is safe if the condition holds for it. MRCert with the certificate ``sharp`` never
    certifies an image that the cascade doesn't.

    Args:
        patches: number of patches of the highest level, before and after certification together.
        margin: trusted entries have a top-two logit margin above this, for a round trip above twice this; all others
            are controlled by the attacker (Theorem 6; 0: all entries are trusted).

    Raises:
        ConfigurationError: for values out of range, or a margin with a table that has none.
    """

    name = "mrcert_cascade"

    def __init__(self, patches: int = 2, margin: float = 0.0) -> None:
        check_settings(patches, margin)
        self.patches = patches
        self.margin = margin
        self.order = 2 * patches
        self.initial_order = patches
        if patches == 1:
            self.round_trip_note = "a round trip is two patches, and this defender is built for one"

    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        lattice, labels = table.mutants, table.labels
        level = torch.zeros_like(labels[:, 0], dtype=torch.long)
        witness = torch.full_like(level, NO_WITNESS)
        for n in range(1, self.patches + 1):
            found = first(witnesses(labels, lattice.join(n, n).to(labels.device), optimistic))
            level = torch.where(found != NO_WITNESS, n, level)
            witness = torch.where(found != NO_WITNESS, found, witness)
        label = labels.gather(1, witness.clamp(min=0)[:, None])[:, 0].long()

        known = optimistic_completion(table, label) if optimistic else table
        return Verdicts(
            label=label,
            case=self.patches + 1 - level,
            witness=witness,
            level=level,
            **certificates(partial(self._safe, known, label, level), lattice, self.patches, self.margin, output),
        )

    def _safe(
        self,
        table: PredictionTable[UnionLattice],
        label: Int[Tensor, " image"],
        level: Int[Tensor, " image"],
        margin: float,
        masks: int,
    ) -> Bool[Tensor, "image R"]:
        """Return for each location of up to ``masks`` masks whether the label stays."""
        lattice, device = table.mutants, label.device
        entries, size = trusted(table, margin), lattice.size(masks)
        joins = {n: lattice.join(n, n).to(device) for n in range(1, self.patches + 1)}
        inside = lattice.containing(self.patches).to(device)
        stays = {n: certain(entries, table.labels, label, join) for n, join in joins.items()}
        kept = torch.zeros(len(label), size, dtype=torch.bool, device=device)
        for part in parts(size, lattice, len(label)):
            # Of the locations of several masks it only matters whether all are safe.
            rows = (kept[:, : part.start].all(1) | (part.start < lattice.size(1))).nonzero()[:, 0]
            locations = inside[part]
            safe_here = torch.zeros(len(rows), len(locations), dtype=torch.bool, device=device)
            undecided = (level[rows] > 0)[:, None].repeat(1, len(locations))
            for n in range(self.patches, 0, -1):
                safe_here |= undecided & covered(stays[n][rows], locations)
                undecided &= ~safe_here
                undecided &= ~forgeable(entries[rows], table.labels[rows], label[rows], joins[n], locations, undecided)
            kept[rows, part] = safe_here
        return kept

    def useful_entries(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Int[Tensor, " image"]
    ) -> Bool[Tensor, "image mutant"]:
        if output != OutputLevel.LABEL:
            margin = self.margin * (2 if output == OutputLevel.ROUND_TRIP else 1)
            return around_open_locations(table, label, self.patches, margin)
        useful = torch.zeros_like(table.evaluated)
        for n in range(1, self.patches + 1):
            join = table.mutants.join(n, n).to(label.device)
            sure, possible = (witnesses(table.labels, join, optimistic) for optimistic in (False, True))
            here = entries_of(contenders(sure, possible), join, table.mutants)
            useful = torch.where(possible.any(1, keepdim=True), here, useful)
        return useful
