"""Votes over ablations: VOT of the MRCert paper, (de)randomised smoothing (docs/theory.md, section 12)."""

import math
from typing import Any, Literal, get_args

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.base import NO_WITNESS, Defender, check_margin
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import PatchedAblations, PatchSpec
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

Certificate = Literal["paper", "sharp"]

# Images, and entries of one product over (rival, vote) and (rival, touched set): they bound the memory.
_IMAGES = 256
_CHUNK = 1 << 22
# Two patches are all pairs of touched sets: more than this would take minutes for every image.
_MOST_SETS = 4096
# After the first half, so large a share of the votes is asked for at a time.
_ROUNDS = 16


class AblationVote(Defender[PatchedAblations]):
    """The plurality of the votes, ties to the smallest label (Levine and Feizi 2020; VOT in the MRCert paper).

    With ``m(c)`` the number of votes for the label ``c``, ``w`` the label given and ``D`` the largest number of votes
    that a patch can touch:

    - certificate ``paper`` (Theorem 15): certified if ``m(w) - m(c) > 2 D`` for every other label ``c``, round trip if
      it is ``> 4 D``. Leads of exactly that size are not certified, whoever would win the tie.
    - certificate ``sharp`` (Theorems 16 and 17): certified if for every placement of the patch ``w`` still wins after
      all votes that it touches go to any one other label, ties by index; round trip if it does so for the votes that
      any two placements touch together. No rule on these votes certifies more, and ``paper`` never does.

    A round trip means: every image that differs from this one inside one patch gets the same label and is itself
    certified, by the same rule. Neither certificate looks at the true label, nor at the unablated image.

    Every image is case 1, since there is but one way to the label. There is no witness (-1): no single mutant
    vouches for it. ``certified_patches`` is 2 for a round trip, 1 for a certificate, else 0.

    Args:
        certificate: the rule of the certificates.
        margin: a vote whose top-two logit margin doesn't exceed this may flip by rounding, so inside a certificate
            it is the attacker's wherever the patch is; inside a round trip twice this (Theorem 18; 0: none is).

    Raises:
        ConfigurationError: for an unknown certificate, a negative margin, or a margin with a table that has none;
            for ``sharp`` with too many placements to check in pairs.
    """

    def __init__(self, certificate: Certificate = "paper", margin: float = 0.0) -> None:
        if certificate not in get_args(Certificate):
            raise unknown("vote certificate", certificate, get_args(Certificate))
        check_margin(margin)
        self.certificate = certificate
        self.margin = margin
        self.name = "vot" if certificate == "paper" else "vot_sharp"

    def mutants(self, model: Any, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> PatchedAblations:
        if not hasattr(model, "ablations"):
            raise ConfigurationError(
                f"{type(self).__name__} votes over ablations, and {type(model).__name__} has none: "
                "take another model (model=column_vit) or another defender (defender=mrcert)"
            )
        if not isinstance(stride, int):
            raise ConfigurationError(f"votes have one stride in px, not {stride}; give one whole number")
        ablations = PatchedAblations(model.ablations(stride), patch)
        self._check_pairs(ablations)
        return ablations

    def next_queries(self, table: PredictionTable[PatchedAblations]) -> BoolTensor:
        if not isinstance(table.mutants, PatchedAblations):
            raise ConfigurationError(
                f"{type(self).__name__} needs votes over ablations, not a {type(table.mutants).__name__}"
            )
        wanted = ~table.evaluated
        if self.output == OutputLevel.TABLE:
            return wanted  # type: ignore[return-value]
        missing = wanted[:, 1:]
        votes = missing.shape[1]
        unknown_votes = missing.sum(1)
        # Not before more than half of the votes agree can any label be sure to win.
        half = votes // 2 + 1
        quota = torch.clamp(half - (votes - unknown_votes), min=math.ceil(votes / _ROUNDS))
        begun = ((votes - unknown_votes >= half) & (unknown_votes > 0)).nonzero()[:, 0]
        for rows in begun.split(_IMAGES):
            quota[rows] = torch.where(self._settled(table, rows), 0, quota[rows])
        order = _spread(votes).to(missing.device)
        missing = missing[:, order]
        wanted[:, 1 + order] = missing & (missing.cumsum(1) <= quota[:, None])
        return wanted  # type: ignore[return-value]

    def decide_complete(self, table: PredictionTable[PatchedAblations]) -> Verdicts:
        # At least one part, so that no images give no verdicts.
        return Verdicts.cat([self._decide_rows(table, rows) for rows in torch.arange(len(table.labels)).split(_IMAGES)])

    def _decide_rows(self, table: PredictionTable[PatchedAblations], rows: Tensor) -> Verdicts:
        votes, missing, label = _votes(table, rows)
        # Votes that nobody asked for can't change the verdict, so they may as well be the attacker's.
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
        """The numbers of patches that a certificate is asked for."""
        return range(1, self.output.patches(2) + 1)

    def _settled(self, table: PredictionTable[PatchedAblations], rows: Tensor) -> Tensor:
        """``[image]``: whether the missing votes can't change what is asked for any more, for sure (Theorem 19)."""
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
        self, lattice: PatchedAblations, votes: Tensor, label: Tensor, free: Tensor, patches: int, exact: bool = True
    ) -> tuple[Tensor, Tensor]:
        """``[image]``: whether the certificate's rule holds for so many patches that get all ``free`` votes as well.

        Args:
            lattice: which votes a patch touches.
            votes: long ``[image, vote]``; those of free votes don't matter.
            label: long ``[image]``.
            free: bool ``[image, vote]``.
            patches: 1 or 2.
            exact: if not, pairs of placements are bounded instead of enumerated.

        Returns:
            whether it holds for sure, and whether it may hold: the same if exact.
        """
        most = 2 * lattice.delta * patches
        if self.certificate == "paper":
            holds = (_leads(votes, label, free, ties=False) > most).all(1)
            return holds, holds
        # No need to look at rivals that are further behind than any patch could take, nor at more than one without
        # a vote: the first of them wins ties against the others.
        leads = _leads(votes, label, free, ties=True)
        absent = (_counts(votes, free) == 0).scatter(1, label[:, None], False)
        images, rivals = ((leads < most) & ~(absent & (absent.cumsum(1) > 1))).nonzero(as_tuple=True)
        self._check_pairs(lattice)
        touched = lattice.touched.to(votes.device).double()
        surely, possibly = torch.ones(2, len(label), dtype=torch.bool, device=label.device)
        step = max(1, _CHUNK // max(touched.shape))
        for image, rival in zip(images.split(step), rivals.split(step), strict=True):
            # What the lead loses with each vote that goes to the rival; in double precision, which autocast leaves
            # alone, because the sums must be exact.
            loss = 1 + (votes[image] == label[image, None]).double() - (votes[image] == rival[:, None]).double()
            least, most_taken = _taken(loss.masked_fill(free[image], 0.0), touched, patches, leads[image, rival], exact)
            possibly[image[least > leads[image, rival]]] = False
            surely[image[most_taken > leads[image, rival]]] = False
        return surely, possibly

    def _distrusted(self, table: PredictionTable[PatchedAblations], rows: Tensor, patches: int) -> Tensor:
        """``[image, vote]``: votes with a margin that is too small for a certificate for so many patches."""
        return ~table.rows(rows).above(patches * self.margin)[:, 1:]

    def _check_pairs(self, lattice: PatchedAblations) -> None:
        if self.certificate == "sharp" and (sets := len(lattice.touched)) > _MOST_SETS:
            raise ConfigurationError(
                f"the exact certificate checks all pairs of the {sets:,} sets of votes that a patch can touch, and "
                f"{_MOST_SETS:,} are the most; take a larger stride or defender=vot, which only counts"
            )


def _votes(table: PredictionTable[PatchedAblations], rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The votes ``[image, vote]``, which of them are missing, and the plurality ``[image]`` of the others."""
    votes = table.labels[rows, 1:].long()
    missing = votes == NOT_EVALUATED
    votes = votes.masked_fill(missing, 0)
    # Among equals argmax takes the first.
    return votes, missing, _counts(votes, missing).argmax(1)


def _counts(votes: Tensor, free: Tensor) -> Tensor:
    """``[image, label]``: numbers of votes that are not free; two labels at least, since there is always a rival."""
    labels = max(2, int(votes.max()) + 1) if votes.numel() else 2
    return torch.zeros(len(votes), labels, dtype=torch.long, device=votes.device).scatter_add_(1, votes, (~free).long())


def _leads(votes: Tensor, label: Tensor, free: Tensor, ties: bool) -> Tensor:
    """``[image, rival]``: the lead of ``label`` over each rival if all free votes are the rival's.

    With ``ties`` it is one less over a rival that would win a tie, so that ``label`` wins as long as it isn't negative.
    Over itself the lead is larger than anything that could be taken.
    """
    counts = _counts(votes, free)
    leads = counts.gather(1, label[:, None]) - counts - free.sum(1, keepdim=True)
    if ties:
        leads -= (torch.arange(leads.shape[1], device=leads.device) < label[:, None]).long()
    return leads.scatter(1, label[:, None], torch.iinfo(torch.long).max)


def _taken(loss: Tensor, touched: Tensor, patches: int, lead: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    """The largest sum of ``loss`` ``[rival, vote]`` over the ``touched`` set of one patch, or the union of two.

    Returns:
        a lower and an upper bound ``[rival]``; if exact, they are on the same side of ``lead`` ``[rival]``.
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


def _spread(votes: int) -> Tensor:
    """All votes in an order in which every beginning is spread evenly over them (steps of the golden ratio)."""
    step = next(s for s in range(max(1, round(votes * 0.618)), votes + 2) if math.gcd(s, votes) == 1)
    return torch.arange(votes) * step % votes
