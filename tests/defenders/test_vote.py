import pytest
import torch
from reference.lazy_tables import assert_verdicts_of_the_full_table, filled_as_asked
from reference.vote_tables import ablations_of, plurality, table_of, unions
from torch import Tensor

from mrcert_pl.defenders import AblationVote, MRCert
from mrcert_pl.defenders.vote import _spread
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec, UnionLattice
from mrcert_pl.mutants.table import PredictionTable

# 20 columns of 1 px and a patch of 2: it touches two votes, next to each other.
TWENTY = ablations_of((1, 20), 1, 1, "column", (1, 2))


def rows(*votes: list[int]) -> PredictionTable:
    return table_of(TWENTY, torch.tensor(votes))


def runs(*runs: tuple[int, int]) -> list[int]:
    """Labels and how often each comes, one after the other."""
    return [label for label, times in runs for _ in range(times)]


def verdict(certificate: str, votes: list[int]) -> tuple[int, bool, bool]:
    verdicts = AblationVote(certificate).decide(rows(votes))  # type: ignore[arg-type]
    return int(verdicts.label), bool(verdicts.certified), bool(verdicts.round_trip)


class TestPaper:
    """Two votes can be touched: certified above a lead of 4, round trip above 8."""

    @pytest.mark.parametrize(
        ("winner", "other", "certified", "round_trip"),
        [
            (11, 9, False, False),
            (12, 8, False, False),  # exactly 2 D
            (13, 7, True, False),
            (14, 6, True, False),  # exactly 4 D
            (15, 5, True, True),
            (20, 0, True, True),
        ],
    )
    @pytest.mark.parametrize("labels", [(0, 1), (1, 0)])
    def test_even_leads(
        self, winner: int, other: int, certified: bool, round_trip: bool, labels: tuple[int, int]
    ) -> None:
        votes = runs((labels[0], winner), (labels[1], other))
        assert verdict("paper", votes) == (labels[0], certified, round_trip)

    @pytest.mark.parametrize(
        ("winner", "other", "certified", "round_trip"),
        [(11, 8, False, False), (12, 7, True, False), (13, 6, True, False), (14, 5, True, True)],
    )
    def test_odd_leads(self, winner: int, other: int, certified: bool, round_trip: bool) -> None:
        """One vote is for a third label: leads of 2 D - 1, 2 D + 1, 4 D - 1 and 4 D + 1."""
        assert verdict("paper", runs((0, winner), (1, other), (2, 1))) == (0, certified, round_trip)


class TestSharp:
    def test_ties_of_an_attack_go_by_the_index(self) -> None:
        """12 to 8, and a patch that flips two votes makes it 10 to 10: safe for label 0, lost for label 1."""
        assert verdict("paper", runs((0, 12), (1, 8)))[1:] == (False, False)
        assert verdict("sharp", runs((0, 12), (1, 8)))[1:] == (True, False)
        assert verdict("sharp", runs((1, 12), (0, 8)))[1:] == (False, False)

    def test_only_votes_side_by_side_can_flip_together(self) -> None:
        """11 to 9 in turns: of two neighbours but one is the winner's."""
        votes = [0, 1] * 9 + [0, 0]
        assert verdict("sharp", votes)[1] is False
        assert verdict("sharp", [0, 1] * 9 + [0, 2])[1] is False
        assert verdict("sharp", [0, 1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 8, 0, 1, 2, 0, 3, 4, 0, 5])[1] is True

    def test_a_label_without_a_vote_can_win(self) -> None:
        """Everything different: seven labels, three votes for the winner, two to flip."""
        ablations = ablations_of((1, 7), 1, 1, "column", (1, 2))
        votes = torch.tensor([[5, 5, 5, 6, 7, 8, 9], [5, 6, 5, 7, 5, 8, 9]])
        # Two votes for the unheard-of label 0 beat 5 if they leave it with fewer than three: the first row loses two,
        # the second one, and a tie goes to 0.
        assert AblationVote("sharp").decide(table_of(ablations, votes)).certified.tolist() == [False, False]
        votes[votes == 5] = 0
        assert AblationVote("sharp").decide(table_of(ablations, votes)).certified.tolist() == [False, False]
        votes = torch.tensor([[0, 6, 0, 7, 0, 8, 0]])
        assert AblationVote("sharp").decide(table_of(ablations, votes)).certified.tolist() == [True]

    def test_the_wrap_around(self) -> None:
        """Bands of 2 px: a patch on the left border touches the first vote and, from the other side, the last one."""
        ablations = ablations_of((1, 9), 2, 1, "column", (1, 1))
        assert {frozenset(row.nonzero()[:, 0].tolist()) for row in ablations.touched} == {
            frozenset({(c - 1) % 9, c}) for c in range(9)
        }
        # Five votes for 0 against two for 1: all other neighbours cost 0 one vote, and it wins the tie of four.
        votes = torch.tensor([[0, 1, 0, 2, 0, 1, 0, 2, 0]])
        assert not AblationVote("sharp").decide(table_of(ablations, votes)).certified

    def test_real_size_placement_by_placement(self) -> None:
        """Every placement of a 16 px patch, every rival, one after the other."""
        ablations = PatchedAblations(Ablations(), PatchSpec(16))
        votes = smooth_votes(30, 224, 4)
        expected = []
        for row in votes.tolist():
            label = min(range(4), key=lambda c: (-row.count(c), c))
            safe = True
            for left in range(224 - 16 + 1):
                touched = {(left - 18 + i) % 224 for i in range(34)}
                rest = [v for i, v in enumerate(row) if i not in touched]
                for rival in {*range(4)} - {label}:
                    ours, theirs = rest.count(label), rest.count(rival) + 34
                    safe &= ours > theirs or (ours == theirs and label < rival)
            expected.append(safe)
        verdicts = AblationVote("sharp").decide(table_of(ablations, votes))
        assert verdicts.certified.tolist() == expected
        assert 0 < sum(expected) < 30

    def test_the_worst_pair_may_leave_out_the_worst_placement(self) -> None:
        """Bands of 3 px, one of which a pixel takes from: votes 15 to 17 and 18, 19, 0 cost label 0 a lead of twelve
        over label 1, one more than it has. No pair with 17 to 19, which alone costs as much as each, takes more than
        eleven."""
        ablations = ablations_of((1, 20), 3, 1, "column", (1, 1))
        votes = torch.tensor([[0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 1, 0, 0, 2, 1, 0, 0, 0, 0, 0]])
        assert (votes == 0).sum() - (votes == 1).sum() == 11
        verdicts = AblationVote("sharp").decide(table_of(ablations, votes))
        assert verdicts.certified
        assert not verdicts.round_trip

    def test_round_trips_against_all_pairs_of_placements(self) -> None:
        """Theorem V3 (a), on votes where the worst two placements often don't include the worst single one."""
        ablations = ablations_of((1, 40), 3, 1, "column", (1, 2))
        draw = torch.Generator().manual_seed(0)
        other = torch.randint(6, (1500, 40), generator=draw)
        votes = torch.where(torch.rand(1500, 40, generator=draw) < 0.45, 2, other)
        label = plurality(votes)
        expected = torch.ones(1500, dtype=torch.bool)
        for taken in unions(ablations.touched, 2):
            rest = torch.stack([(votes == c)[:, ~taken].sum(1) for c in range(6)], dim=1)
            ours = rest.gather(1, label[:, None])
            lead = ours - rest - taken.sum() - (torch.arange(6) < label[:, None]).long()
            expected &= (lead.scatter(1, label[:, None], 0) >= 0).all(1)
        assert torch.equal(AblationVote("sharp").decide(table_of(ablations, votes)).round_trip, expected)
        assert 200 < expected.sum() < 1300


def smooth_votes(images: int, votes: int, labels: int, seed: int = 0) -> Tensor:
    """Runs of equal labels, and mostly one label: what a model says of overlapping bands."""
    draw = torch.Generator().manual_seed(seed)
    length = 7
    blocks = torch.randint(labels, (images, -(-votes // length)), generator=draw).repeat_interleave(length, 1)[
        :, :votes
    ]
    main = torch.rand(images, votes, generator=draw) < torch.rand(images, 1, generator=draw) ** 0.5
    return torch.where(main, torch.randint(labels, (images, 1), generator=draw), blocks)


@pytest.mark.parametrize("certificate", ["paper", "sharp"])
def test_a_single_label(certificate: str) -> None:
    for label in (0, 3):
        assert verdict(certificate, [label] * 20) == (label, True, True)


@pytest.mark.parametrize("certificate", ["paper", "sharp"])
def test_ties_go_to_the_smallest_label(certificate: str) -> None:
    assert verdict(certificate, runs((2, 10), (1, 10))) == (1, False, False)
    assert verdict(certificate, runs((3, 7), (0, 6), (2, 7)))[0] == 2


@pytest.mark.parametrize("certificate", ["paper", "sharp"])
def test_a_patch_that_touches_everything_certifies_nothing(certificate: str) -> None:
    ablations = ablations_of((1, 5), 5, 1, "column", (1, 1))
    table = table_of(ablations, torch.zeros(1, 5, dtype=torch.long))
    verdicts = AblationVote(certificate).decide(table)  # type: ignore[arg-type]
    assert (verdicts.label, verdicts.certified, verdicts.round_trip) == (0, False, False)


def test_other_fields() -> None:
    verdicts = AblationVote().decide(rows([0] * 20, runs((0, 13), (1, 7)), runs((0, 10), (1, 10))))
    assert verdicts.case.tolist() == [1, 1, 1]
    assert verdicts.witness.tolist() == [-1, -1, -1]
    assert verdicts.certified_patches is not None
    assert verdicts.certified_patches.tolist() == [2, 1, 0]
    assert AblationVote().round_trip_note is None


def test_no_images() -> None:
    assert len(AblationVote().decide(table_of(TWENTY, torch.zeros(0, 20, dtype=torch.long)))) == 0


def test_the_unablated_label_does_not_matter() -> None:
    table = rows(runs((0, 15), (1, 5)))
    one = AblationVote("sharp").decide(table)
    table.labels[:, 0] = 1
    two = AblationVote("sharp").decide(table)
    assert (one.label, one.certified, one.round_trip) == (two.label, two.certified, two.round_trip)


LAZY_SIZES = {
    "20 columns": TWENTY,
    "both": ablations_of((7, 9), 2, 1, "both", (2, 1)),
    "blocks": ablations_of((5, 6), 2, 1, "block", (1, 1)),
    "224 columns, 32 px": PatchedAblations(Ablations(), PatchSpec(32)),
}


@pytest.mark.parametrize("margin", [0.0, 0.1])
@pytest.mark.parametrize("certificate", ["paper", "sharp"])
@pytest.mark.parametrize("size", LAZY_SIZES)
def test_lazy_voting_is_the_full_vote(size: str, certificate: str, margin: float) -> None:
    """Theorem 19: from the answers that it asked for, in rounds, the same verdicts."""
    ablations = LAZY_SIZES[size]
    count = ablations.ablations.votes
    votes = smooth_votes(60, count, 4, seed=count)
    margins = torch.rand(60, count, generator=torch.Generator().manual_seed(3)) ** 0.3
    full = table_of(ablations, votes, margins)
    defender = AblationVote(certificate, margin)  # type: ignore[arg-type]
    shares = list(assert_verdicts_of_the_full_table(defender, full).values())
    assert shares == sorted(shares)
    assert shares[0] < shares[1]
    lazy, rounds = filled_as_asked(defender.with_output("round_trip"), full)
    asked = lazy.evaluated.sum(1)
    assert lazy.evaluated[:, 0].all()
    assert rounds > 1
    assert count // 2 + 2 <= asked.min() < count + 1
    # The last word is spoken before the last vote, and not before it is known.
    assert len(asked.unique()) > 1


def test_the_smallest_number_of_votes_that_settle() -> None:
    """20 equal votes: with 2 votes to flip, a lead of more than 8 over all the others is sure from the 15th on."""
    full, lazy = rows([0] * 20), PredictionTable.empty(TWENTY, 1)
    defender = AblationVote().with_output("round_trip")
    asked = []
    while (wanted := defender.next_queries(lazy)).any():
        lazy.labels[wanted] = full.labels[wanted].int()
        asked.append(int(lazy.evaluated.sum()) - 1)
    assert asked == [11, 13, 15]


def test_incomplete_tables() -> None:
    table = rows([0] * 20)
    table.labels[0, 5] = -1
    lazy = AblationVote().with_output("round_trip")
    assert lazy.decide(table).round_trip
    with pytest.raises(ConfigurationError, match="lacks 1 labels that AblationVote needs"):
        AblationVote().decide(table)
    table.labels[0, 1:11] = -1
    with pytest.raises(ConfigurationError, match="lacks 2 labels that AblationVote needs"):
        lazy.decide(table)


def test_bad_settings() -> None:
    with pytest.raises(ConfigurationError, match="unknown vote certificate 'exact'; choose one of: paper, sharp"):
        AblationVote("exact")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="margin of a certificate can't be negative"):
        AblationVote(margin=-1.0)
    with pytest.raises(ConfigurationError, match="needs a table with margins"):
        AblationVote(margin=0.1).decide(rows([0] * 20))
    union_table = PredictionTable(UnionLattice([1], 2, 0), torch.zeros(1, 1, dtype=torch.long))
    with pytest.raises(ConfigurationError, match="needs votes over ablations, not a UnionLattice"):
        AblationVote().decide(union_table)


class Bands:
    """As much of a model as a vote reads."""

    def ablations(self, stride: int) -> Ablations:
        return Ablations((32, 32), 4, stride, "both")


def test_models_that_do_not_fit() -> None:
    with pytest.raises(ConfigurationError, match=r"Bands has none: take another model \(model=vit_srf\)"):
        MRCert().mutants(Bands(), PatchSpec(4))
    with pytest.raises(ConfigurationError, match=r"object has none: take another model \(model=column_vit\)"):
        AblationVote().mutants(object(), PatchSpec(4))
    with pytest.raises(ConfigurationError, match="one stride"):
        AblationVote().mutants(Bands(), PatchSpec(4), stride=(1, 2))


def test_too_many_pairs_are_refused_before_the_work_begins() -> None:
    class Blocks:
        def ablations(self, stride: int) -> Ablations:
            return Ablations((80, 80), 4, stride, "both")

    assert AblationVote("paper").mutants(Blocks(), PatchSpec(4)).delta == 14
    sharp = AblationVote("sharp")
    for output in ("round_trip", "map", "table"):
        with pytest.raises(ConfigurationError, match="all pairs of the 5,929 sets"):
            sharp.with_output(output).mutants(Blocks(), PatchSpec(4))
    assert len(AblationVote("sharp").mutants(Blocks(), PatchSpec(4), stride=4)) == 41


def test_one_patch_needs_no_pairs() -> None:
    ablations = PatchedAblations(Ablations((80, 80), 4, kind="both"), PatchSpec(4))
    assert len(ablations.touched) == 5929
    sharp = AblationVote("sharp").with_output("certificate")
    # A patch touches seven of the row votes and seven of the column votes.
    votes = torch.zeros(2, 160, dtype=torch.long)
    votes[0, :66], votes[1, 7:73] = 1, 1
    verdicts = sharp.decide(table_of(ablations, votes))
    taken = (ablations.touched[None] & (votes == 0)[:, None]).sum(2).amax(1)
    assert taken.tolist() == [14, 14]
    assert verdicts.certified.tolist() == [94 - 14 > 66 + 14 or 94 - 14 == 66 + 14] * 2 == [True, True]
    votes[0, 66] = 1
    assert not sharp.decide(table_of(ablations, votes)).certified[0]
    with pytest.raises(ConfigurationError, match="all pairs of the 5,929 sets"):
        sharp.with_output("round_trip").decide(table_of(ablations, votes))


@pytest.mark.parametrize("margin", [0.2, 0.6])
def test_votes_without_a_margin_are_taken_once(margin: float) -> None:
    """Exact with free votes: a patch takes those that it touches, and the free ones are taken already."""
    ablations = ablations_of((2, 5), 1, 1, "column", 1)
    votes = torch.randint(3, (400, 5))
    margins = torch.rand(400, 5)
    verdicts = AblationVote("sharp", margin).decide(table_of(ablations, votes, margins))
    for number, patches in (("certified", 1), ("round_trip", 2)):
        free = margins <= patches * margin
        for image in range(400):
            label = int(plurality(votes[image : image + 1]))
            holds = all(
                int(plurality(torch.where(taken | free[image], other, votes[image])[None])) == label
                for taken in unions(ablations.touched, patches)
                for other in range(3)
            )
            assert bool(getattr(verdicts, number)[image]) == holds


def test_the_order_of_queries_is_a_spread_permutation() -> None:
    for votes in range(1, 60):
        order = _spread(votes)
        assert order.sort().values.tolist() == [*range(votes)]
    # Of a sixth of the votes no two are neighbours.
    first = _spread(60)[:10].sort().values
    assert int(first.diff().min()) > 1
