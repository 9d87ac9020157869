"""The promises of a vote, by enumeration: every table, every placement, every label for every vote that it touches."""

import pytest
import torch
from reference.vote_tables import ablations_of, all_tables, changeable, plurality, table_of, unions

from mrcert_pl.defenders import AblationVote
from mrcert_pl.geometry import PatchedAblations

# (ablations, labels)
CASES: dict[str, tuple[PatchedAblations, int]] = {
    "9 columns, 2 labels": (ablations_of((1, 9), 1, 1, "column", (1, 1)), 2),
    "7 columns of 2, 3 labels": (ablations_of((1, 7), 2, 1, "column", (1, 1)), 3),
    "12 columns of 2, 2 labels": (ablations_of((1, 12), 2, 1, "column", (1, 2)), 2),
    "8 rows, 3 labels": (ablations_of((8, 1), 1, 1, "row", (1, 1)), 3),
    "4 rows and 6 columns, 2 labels": (ablations_of((4, 6), 1, 1, "both", (1, 1)), 2),
    "3x4 blocks, 2 labels": (ablations_of((3, 4), 1, 1, "block", (1, 1)), 2),
    "stride that leaves 5 of 9, 4 labels": (ablations_of((1, 9), 2, 2, "column", (1, 1)), 4),
    "more touched than not, 3 labels": (ablations_of((1, 5), 3, 1, "column", (1, 3)), 3),
    "stride with gaps, 3 labels": (ablations_of((1, 12), 1, 2, "column", (1, 1)), 3),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("certificate", ["paper", "sharp"])
def test_no_attack_breaks_a_certificate_and_every_other_row_has_one(name: str, certificate: str) -> None:
    ablations, labels = CASES[name]
    count = ablations.ablations.votes
    votes = all_tables(count, labels)
    table = table_of(ablations, votes)
    verdicts = AblationVote(certificate).decide(table)  # type: ignore[arg-type]
    assert torch.equal(verdicts.label, plurality(votes))

    one, two = (changeable(verdicts.label, count, labels, unions(ablations.touched, n)) for n in (1, 2))
    assert not (verdicts.certified & one).any()
    assert not (verdicts.round_trip & two).any()
    # The round trip in the words of its promise: same label, and certified itself.
    uncertified = ~verdicts.certified | changeable(verdicts.certified, count, labels, list(ablations.touched))
    assert not (verdicts.round_trip & (one | uncertified)).any()
    assert torch.equal(verdicts.certified_patches, verdicts.certified.long() + verdicts.round_trip)
    if certificate == "sharp":
        assert torch.equal(verdicts.certified, ~one)
        assert torch.equal(verdicts.round_trip, ~two)
        assert torch.equal(verdicts.round_trip, ~(one | uncertified))
        paper = AblationVote("paper").decide(table)
        assert not (paper.certified & ~verdicts.certified).any()
        assert not (paper.round_trip & ~verdicts.round_trip).any()
        assert one.any()
        if name == "8 rows, 3 labels":
            assert (verdicts.certified & ~paper.certified).any()
            assert (verdicts.round_trip & ~paper.round_trip).any()


@pytest.mark.parametrize(
    "name", ["9 columns, 2 labels", "7 columns of 2, 3 labels", "stride that leaves 5 of 9, 4 labels"]
)
@pytest.mark.parametrize("certificate", ["paper", "sharp"])
def test_votes_with_a_small_margin_are_the_attackers(name: str, certificate: str) -> None:
    """Theorem 18: wherever the patch is, they may be other ones in the next run."""
    ablations, labels = CASES[name]
    count = ablations.ablations.votes
    votes = all_tables(count, labels)
    draw = torch.Generator().manual_seed(1)
    for weak in (torch.rand(count, generator=draw) < share for share in (0.2, 0.5)):
        for margin, patches in ((0.2, 1), (0.25, 1), (0.125, 2), (0.12, 2)):
            # 0.25 is just too small for a margin of 0.25, and for a round trip with half of that.
            margins = torch.where(weak, 0.25, 0.5).expand(len(votes), -1)
            verdicts = AblationVote(certificate, margin=margin).decide(table_of(ablations, votes, margins))  # type: ignore[arg-type]
            free = weak if patches * margin >= 0.25 else torch.zeros_like(weak)
            sets = [touched | free for touched in unions(ablations.touched, patches)]
            attackable = changeable(plurality(votes), count, labels, sets)
            holds = verdicts.certified if patches == 1 else verdicts.round_trip
            assert not (holds & attackable).any()
            if certificate == "sharp":
                assert torch.equal(holds, ~attackable)
            assert torch.equal(verdicts.label, plurality(votes))


@pytest.mark.parametrize("certificate", ["paper", "sharp"])
def test_votes_that_nobody_can_trust_certify_nothing(certificate: str) -> None:
    ablations, _ = CASES["8 rows, 3 labels"]
    votes = torch.tensor([[0] * 8, [1] * 8])
    verdicts = AblationVote(certificate, margin=1.0).decide(table_of(ablations, votes, torch.full((2, 8), 0.5)))  # type: ignore[arg-type]
    assert verdicts.label.tolist() == [0, 1]
    assert not verdicts.certified.any()
    assert not verdicts.round_trip.any()


@pytest.mark.parametrize("slack", [-1, -2])
def test_the_enumeration_finds_a_rule_that_is_too_generous(slack: int) -> None:
    """Leads of exactly 2 D, and one less, are not safe in general."""
    ablations, labels = CASES["7 columns of 2, 3 labels"]
    votes = all_tables(7, labels)
    label = plurality(votes)
    counts = torch.stack([(votes == c).sum(1) for c in range(labels)], dim=1).sort(1, descending=True).values
    generous = counts[:, 0] - counts[:, 1] > 2 * ablations.delta + slack
    assert (generous & changeable(label, 7, labels, unions(ablations.touched, 1))).any()
