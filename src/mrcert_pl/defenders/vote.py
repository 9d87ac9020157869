"""Votes over ablations: VOT of the MRCert paper, (de)randomised smoothing (docs/theory.md, section 12)."""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.defenders.base import NO_WITNESS, Defender, check_margin
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

_CERTIFICATES = ("paper", "sharp")

# Images, and entries of one product over (rival, vote) and (rival, touched set): they bound the memory.
_IMAGES = 256
_CHUNK = 1 << 22
# Two patches mean all pairs of touched sets: above this limit they take minutes per image.
_MOST_SETS = 4096
# After the first half, a query round takes this fraction of the votes.
_ROUNDS = 16


@runtime_checkable
class AblatableModel(Protocol):
    """A base model that votes over ablations."""

    def ablations(self, stride: int = 1) -> Ablations:
        """Ablations of the image at every ``stride``-th pixel."""
        ...


class AblationVote(Defender[PatchedAblations]):
    """The plurality of the votes, ties to the smallest label (Levine and Feizi 2020; VOT in the MRCert paper).

    With ``m(c)`` the number of votes for the label ``c``, ``w`` the label given and ``D`` the largest number of votes
    that a patch can touch:

    - certificate ``paper`` (Theorem 15): certified if ``m(w) - m(c) > 2 D`` for every other label ``c``, round trip if
      it is ``> 4 D``. Leads of exactly that size are not certified, whoever would win the tie.
    - certificate ``sharp`` (Theorems 16 and 17, exact): certified if for every placement of the patch ``w`` still wins
      when all votes that it touches go to any one other label, ties by index; round trip if it does so for the votes
      that any two placements touch together. ``paper`` never certifies more.

    A round trip means: every image that differs from this one inside one patch gets the same label and is itself
    certified, by the same rule. Neither certificate uses the true label or the unablated image.

    Every image is Case 1 and has no witness (-1). ``certified_patches`` is 2 for a round trip, 1 for a certificate,
    else 0.

    Args:
        certificate: rule of the certificates, ``paper`` or ``sharp``.
        margin: a vote with a top-two logit margin up to this may flip by rounding, so inside a certificate it is
            controlled by the attacker wherever the patch is; inside a round trip up to twice this (Theorem 18;
            0: no such vote).

    Raises:
        ConfigurationError: for an unknown certificate, a negative margin, or a margin with a table that has none;
            for a round trip by ``sharp`` with too many placements to check in pairs.
    """

    def __init__(self, certificate: str = "paper", margin: float = 0.0) -> None:
        if certificate not in _CERTIFICATES:
            raise unknown("vote certificate", certificate, _CERTIFICATES)
        check_margin(margin)
        self.certificate = certificate
        self.margin = margin
        self.name = "vot" if certificate == "paper" else "vot_sharp"

    def mutants(self, model: object, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> PatchedAblations:
        if not isinstance(model, AblatableModel):
            raise ConfigurationError(
                f"{type(self).__name__} votes over ablations, and {type(model).__name__} has none: "
                "take another model (model=column_vit) or another defender (defender=mrcert)"
            )
        if not isinstance(stride, int):
            raise ConfigurationError(f"votes have one stride in px, not {stride}; give one whole number")
        ablations = PatchedAblations(model.ablations(stride), patch)
        if 2 in self._patches:
            self._check_pairs(ablations)
        return ablations

    def next_queries(self, table: PredictionTable[PatchedAblations]) -> Bool[Tensor, "image mutant"]:
        if not isinstance(table.mutants, PatchedAblations):
            raise ConfigurationError(f"{type(self).__name__} needs votes over ablations, not a {table.mutants!r}")
        queries = ~table.evaluated
        if self.output == OutputLevel.TABLE:
            return queries
        missing = queries[:, 1:]
        votes = missing.shape[1]
        unknown_votes = missing.sum(1)
        # No label is certain before half of the votes agree; exactly half suffice for the label 0 alone.
        half = votes // 2 + 1
        quota = torch.clamp(half - (votes - unknown_votes), min=math.ceil(votes / _ROUNDS))
        halved = ((votes - unknown_votes >= half) & (unknown_votes > 0)).nonzero()[:, 0]
        for rows in halved.split(_IMAGES):
            quota[rows] = torch.where(self._settled(table, rows), 0, quota[rows])
        order = _spread(votes).to(missing.device)
        missing = missing[:, order]
        queries[:, 1 + order] = missing & (missing.cumsum(1) <= quota[:, None])
        return queries

    def decide_complete(self, table: PredictionTable[PatchedAblations]) -> Verdicts:
        # split gives one part even for an empty table.
        return Verdicts.cat([self._decide_rows(table, rows) for rows in torch.arange(len(table.labels)).split(_IMAGES)])

    def _decide_rows(self, table: PredictionTable[PatchedAblations], rows: Int[Tensor, " row"]) -> Verdicts:
        votes, missing, label = _votes(table, rows)
        # Missing votes can't change the verdict: they are counted as controlled by the attacker.
        survived = torch.zeros(2, len(label), dtype=torch.bool, device=label.device)
        for patches in self._patches:
            free = missing | self._distrusted(table, rows, patches)
            survived[patches - 1] = self._survives(table.mutants, votes, label, free, patches)[0]
        return Verdicts(
            label=label,
            certified=survived[0],
            round_trip=survived[1],
            case=torch.ones_like(label),
            witness=torch.full_like(label, NO_WITNESS),
            certified_patches=survived.sum(0),
        )

    @property
    def _patches(self) -> range:
        """Numbers of patches of the requested certificates."""
        return range(1, self.output.patches(2) + 1)

    def _settled(self, table: PredictionTable[PatchedAblations], rows: Int[Tensor, " row"]) -> Bool[Tensor, " row"]:
        """Whether missing votes can't change the requested outputs, as far as bounds show (Theorem 19)."""
        votes, missing, label = _votes(table, rows)
        settled = (_leads(votes, label, missing, ties=True) >= 0).all(1)
        unanimous = torch.where(missing, label[:, None], votes)
        for patches in self._patches:
            distrusted = self._distrusted(table, rows, patches)
            surely, _ = self._survives(table.mutants, votes, label, missing | distrusted, patches, exact=False)
            _, possibly = self._survives(table.mutants, unanimous, label, distrusted & ~missing, patches, exact=False)
            settled &= surely | ~possibly
        return settled

    def _survives(
        self,
        ablations: PatchedAblations,
        votes: Int[Tensor, "image vote"],
        label: Int[Tensor, " image"],
        free: Bool[Tensor, "image vote"],
        patches: int,
        exact: bool = True,
    ) -> tuple[Bool[Tensor, " image"], Bool[Tensor, " image"]]:
        """Whether the certificate's rule holds for an attacker who also controls all ``free`` votes.

        Args:
            ablations: votes that a patch touches.
            votes: labels; those of free votes are ignored.
            label: the plurality.
            free: votes that are missing or not trusted.
            patches: number of patches, 1 or 2.
            exact: whether pairs of placements are enumerated; otherwise they are bounded.

        Returns:
            whether it certainly holds, and whether it possibly holds: equal if exact.
        """
        most = 2 * ablations.delta * patches
        if self.certificate == "paper":
            holds = (_leads(votes, label, free, ties=False) > most).all(1)
            return holds, holds
        # Skip rivals that are further behind than any patch could take, and all rivals without a vote but the first,
        # which wins ties against the others.
        leads = _leads(votes, label, free, ties=True)
        absent = (_counts(votes, free) == 0).scatter(1, label[:, None], False)
        images, rivals = ((leads < most) & ~(absent & (absent.cumsum(1) > 1))).nonzero(as_tuple=True)
        if patches == 2:
            self._check_pairs(ablations)
        touched = ablations.touched.to(votes.device).double()
        surely, possibly = torch.ones(2, len(label), dtype=torch.bool, device=label.device)
        step = max(1, _CHUNK // max(touched.shape))
        for image, rival in zip(images.split(step), rivals.split(step), strict=True):
            # Loss of the lead for each vote that goes to the rival; in double precision, which autocast leaves alone,
            # because the sums must be exact.
            loss = 1 + (votes[image] == label[image, None]).double() - (votes[image] == rival[:, None]).double()
            least, most_taken = _taken(loss.masked_fill(free[image], 0.0), touched, patches, leads[image, rival], exact)
            possibly[image[least > leads[image, rival]]] = False
            surely[image[most_taken > leads[image, rival]]] = False
        return surely, possibly

    def _distrusted(
        self, table: PredictionTable[PatchedAblations], rows: Int[Tensor, " row"], patches: int
    ) -> Bool[Tensor, "row vote"]:
        """Votes whose margin is too small for a certificate for this number of patches."""
        return ~table.rows(rows).above(patches * self.margin)[:, 1:]

    def _check_pairs(self, ablations: PatchedAblations) -> None:
        if self.certificate == "sharp" and (sets := len(ablations.touched)) > _MOST_SETS:
            raise ConfigurationError(
                f"the exact round trip checks all pairs of the {sets:,} sets of votes that a patch can touch, and "
                f"at most {_MOST_SETS:,} are supported for a round trip; take a larger stride or defender=vot"
            )


def _votes(
    table: PredictionTable[PatchedAblations], rows: Int[Tensor, " row"]
) -> tuple[Int[Tensor, "row vote"], Bool[Tensor, "row vote"], Int[Tensor, " row"]]:
    """The votes, whether each is missing, and the plurality of the others."""
    votes = table.labels[rows, 1:].long()
    missing = votes == NOT_EVALUATED
    votes = votes.masked_fill(missing, 0)
    # Among equals argmax takes the first.
    return votes, missing, _counts(votes, missing).argmax(1)


def _counts(votes: Int[Tensor, "image vote"], free: Bool[Tensor, "image vote"]) -> Int[Tensor, "image label"]:
    """Number of votes that are not free; at least two labels, since there is always a rival."""
    labels = max(2, int(votes.max()) + 1) if votes.numel() else 2
    return torch.zeros(len(votes), labels, dtype=torch.long, device=votes.device).scatter_add_(1, votes, (~free).long())


def _leads(
    votes: Int[Tensor, "image vote"], label: Int[Tensor, " image"], free: Bool[Tensor, "image vote"], ties: bool
) -> Int[Tensor, "image rival"]:
    """Lead of ``label`` over each rival if the rival gets all free votes.

    With ``ties`` it is one less over a rival that would win a tie, so ``label`` wins if no lead is negative. The lead
    over ``label`` itself is the largest integer.
    """
    counts = _counts(votes, free)
    leads = counts.gather(1, label[:, None]) - counts - free.sum(1, keepdim=True)
    if ties:
        leads -= (torch.arange(leads.shape[1], device=leads.device) < label[:, None]).long()
    return leads.scatter(1, label[:, None], torch.iinfo(torch.long).max)


def _taken(
    loss: Float[Tensor, "rival vote"],
    touched: Float[Tensor, "set vote"],
    patches: int,
    lead: Int[Tensor, " rival"],
    exact: bool,
) -> tuple[Float[Tensor, " rival"], Float[Tensor, " rival"]]:
    """Largest sum of ``loss`` over the ``touched`` set of one patch, or the union of two.

    Returns:
        a lower and an upper bound; if exact, both are on the same side of ``lead``.
    """
    single = loss @ touched.T
    least, first = single.max(1)
    if patches == 1:
        return least, least
    most = 2 * least
    # The worst placement, and the worst second one beside it.
    least = least + (loss * (1 - touched[first]) @ touched.T).amax(1)
    if exact:
        between = (least <= lead) & (most > lead)
        loss, single, sums = loss[between], single[between], least[between]
        worth = (
            (single + single.amax(1, keepdim=True) > lead[between, None]).any(0) if len(loss) else single.new_empty(0)
        )
        for i in worth.nonzero()[:, 0]:
            sums = torch.maximum(sums, single[:, i] + (loss * (1 - touched[i]) @ touched.T).amax(1))
        least[between] = most[between] = sums
    return least, most


def _spread(votes: int) -> Int[Tensor, " vote"]:
    """Permutation of the votes of which every prefix is spread evenly (steps of the golden ratio)."""
    step = next(s for s in range(max(1, round(votes * 0.618)), votes + 2) if math.gcd(s, votes) == 1)
    return torch.arange(votes) * step % votes
