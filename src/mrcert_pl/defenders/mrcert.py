"""MRCert: certified recovery that survives a patch that is already there (docs/theory.md, section 3)."""

from typing import Literal, get_args

import torch
from torch import Tensor

from mrcert_pl.defenders.base import NO_WITNESS, Verdicts, first
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

Certificate = Literal["paper"]

# Entries of one comparison over (image, witness, further union): bounds the memory of `decide`.
_CHUNK = 1 << 25


class MRCert(MaskingDefender):
    """MRCert built for ``patches`` patches, earlier and later ones together (Theorems 2 and 3; the paper has two).

    With ``p(U)`` the label when the union ``U`` is hidden and ``U_k`` the unions of at most ``k`` masks, ``S`` is a
    *witness* if it is in ``U_N`` and ``p(S | T) = p(S)`` for all ``T`` in ``U_N``, where ``N = patches``.

    - Case ``k + 1``: there is a witness of ``k`` masks and none of fewer -> the label of the first one.
      For two patches these are the paper's Cases 1, 2 and 3. All witnesses have the same label (Claim 1).
    - Case ``N + 2``: there is no witness -> the label of the unmasked image.

    Certificate ``paper``: certified if some ``S`` of at most ``N - 1`` masks has ``p(S | T) = p(S)`` for all ``T`` in
    ``U_{N+1}`` (Lemma 1 for no mask, Lemma 2 for one); round trip if ``p(T) = p(no mask)`` for all ``T`` in ``U_{2N}``,
    which needs ``N`` of at least two. Both speak of one patch, earlier or later, and neither looks at the true label.

    Args:
        patches: number of patches that the defender is built for.
        certificate: the rule of the certificates.
        margin: an entry counts inside a certificate only if its top-two logit margin exceeds this, inside a round
            trip only if it exceeds twice this (Theorem 6; 0: all count).

    Raises:
        ConfigurationError: for values out of range, or a margin with a table that has none.
    """

    name = "mrcert"

    def __init__(self, patches: int = 2, certificate: Certificate = "paper", margin: float = 0.0) -> None:
        if isinstance(patches, bool) or not isinstance(patches, int) or patches < 1:
            raise ConfigurationError(f"MRCert needs a whole number of patches, at least one patch, not {patches!r}")
        if certificate not in get_args(Certificate):
            raise unknown("MRCert certificate", certificate, get_args(Certificate))
        if not margin >= 0:
            raise ConfigurationError(f"the margin of a certificate can't be negative: {margin}")
        self.patches = patches
        self.certificate = certificate
        self.margin = margin
        self.order = 2 * patches
        if patches == 1:
            self.round_trip_note = "a round trip is two patches, and this defender is built for one"

    def _decide(self, table: PredictionTable[UnionLattice]) -> Verdicts:
        step = max(1, _CHUNK // len(table.lattice.join(self.patches, self.patches)) ** 2)
        parts = [self._decide_rows(table, slice(i, i + step)) for i in range(0, max(len(table.labels), 1), step)]
        fields = ("label", "certified", "round_trip", "case", "witness")
        return Verdicts(**{field: torch.cat([getattr(part, field) for part in parts]) for field in fields})

    def _decide_rows(self, table: PredictionTable[UnionLattice], rows: slice) -> Verdicts:
        lattice, n = table.lattice, self.patches
        labels = table.labels[rows].long()

        def stable(left: int, right: int, trusted: Tensor | None = None) -> Tensor:
            """[image, S]: p(S | T) = p(S) for all T, and with ``trusted`` all these entries count."""
            join = lattice.join(left, right).to(labels.device)
            holds = (labels[:, join] == labels[:, join[:, :1]]).all(2)
            return holds if trusted is None else holds & trusted[:, join].all(2)

        witness = first(stable(n, n))
        found = witness != NO_WITNESS
        column = witness.clamp(min=0)
        round_trip = stable(0, 2 * n, self._trusted(table, rows, 2 * self.margin))[:, 0]
        return Verdicts(
            label=labels.gather(1, column[:, None])[:, 0],
            certified=stable(n - 1, n + 1, self._trusted(table, rows, self.margin)).any(1),
            round_trip=round_trip if n > 1 else torch.zeros_like(round_trip),
            case=torch.where(found, lattice.orders.to(labels.device)[column] + 1, n + 2),
            witness=witness,
        )

    def _trusted(self, table: PredictionTable[UnionLattice], rows: slice, margin: float) -> Tensor | None:
        """[image, mutant]: entries that count inside a certificate; ``None`` if all do."""
        if margin == 0:
            return None
        if table.margins is None:
            raise ConfigurationError(f"a certificate with margin {self.margin} needs a table with margins")
        return table.margins[rows] > margin
