"""The guarantees themselves, by enumeration: every table, every patch, everything that an attacker can make of it."""

from functools import reduce
from itertools import product
from operator import or_

import pytest
import torch
import wrong_claims
from patch_game import PatchGame, Rule, kept_entries

from mrcert_pl.defenders import Defender, MRCert, PatchCURE
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

GRIDS: dict[str, tuple[tuple[int, ...], int]] = {
    "3 single windows": ((0b001, 0b010, 0b100), 3),
    "3 windows, masks of 2": ((0b011, 0b110), 3),
    "4 single windows": ((0b0001, 0b0010, 0b0100, 0b1000), 4),
    "4 windows, masks of 2": ((0b0011, 0b0110, 0b1100), 4),
    "4 windows, one mask inside another": ((0b0001, 0b0011, 0b0100, 0b1000), 4),
    "5 windows, masks of 2": ((0b00011, 0b00110, 0b01100, 0b11000), 5),
}
DEFENDERS: dict[str, Defender] = {
    "MRCert, 1 patch": MRCert(1),
    "MRCert, 2 patches": MRCert(2),
    "MRCert, 3 patches": MRCert(3),
    "PatchCURE, original": PatchCURE("original"),
    "PatchCURE, majority": PatchCURE("majority"),
}
# Labels that a defender compares on all tables of a grid, which is what the time goes into.
MOST_COMPARISONS = 1 << 26


def lattice_of(grid: str, order: int) -> UnionLattice:
    masks, windows = GRIDS[grid]
    return UnionLattice(masks, windows, order, allow_blind=True)


def comparisons(grid: str, classes: int, defender: Defender) -> int:
    lattice = lattice_of(grid, defender.order)
    return classes ** len(lattice) * lattice.size(defender.order // 2) ** 2


def feasible() -> list[tuple[str, int, str]]:
    return [
        (grid, classes, name)
        for grid, classes, (name, defender) in product(GRIDS, (2, 3), DEFENDERS.items())
        if comparisons(grid, classes, defender) <= MOST_COMPARISONS
    ]


@pytest.mark.parametrize(("grid", "classes", "name"), feasible())
def test_no_patch_breaks_a_guarantee(grid: str, classes: int, name: str) -> None:
    defender = DEFENDERS[name]
    lattice = lattice_of(grid, defender.order)
    game = PatchGame(lattice, classes)
    verdicts = defender.decide(game.table)
    certificates, round_trips = game.broken(verdicts)
    assert not certificates.any()
    assert not round_trips.any()

    # There was something to break, and there were patches to break it with.
    constant = (game.table.labels == game.table.labels[:, :1]).all(1)
    assert verdicts.certified[constant].all()
    assert verdicts.round_trip[constant].all() == (defender.round_trip_note is None)
    attackable = game.attackable(verdicts.label)
    if isinstance(defender, MRCert):
        # A mutant with all masks is a witness that every patch has to keep.
        assert attackable.any() == (reduce(or_, lattice.masks) not in lattice.unions[: lattice.size(defender.patches)])
        assert (verdicts.certified & ~constant).any() == (defender.patches > 1)
    else:
        assert attackable.any()


def test_two_labels_are_enumerated_on_every_grid_and_three_on_most() -> None:
    cases = feasible()
    assert {(grid, name) for grid, classes, name in cases if classes == 2} == set(product(GRIDS, DEFENDERS))
    left_out = set(product(GRIDS, DEFENDERS)) - {(grid, name) for grid, classes, name in cases if classes == 3}
    assert left_out == {
        ("4 single windows", "MRCert, 2 patches"),
        ("4 single windows", "MRCert, 3 patches"),
        ("4 windows, one mask inside another", "MRCert, 3 patches"),
        ("5 windows, masks of 2", "MRCert, 3 patches"),
    }


def test_a_certificate_alone_does_not_survive_a_patch() -> None:
    """So the round trip promises something, and so does a certified label that is not the unmasked image's."""
    game = PatchGame(lattice_of("4 single windows", 4), 2)
    verdicts = MRCert().decide(game.table)
    assert (verdicts.certified & game.attackable(verdicts.certified)).any()
    assert (verdicts.certified & (verdicts.label != game.table.labels[:, 0])).any()
    assert (verdicts.certified & ~verdicts.round_trip & (verdicts.case == 1)).any()


@pytest.mark.parametrize(
    ("rule", "order", "breaks"),
    [
        (wrong_claims.lemmas_one_mask_short, 4, "certificate"),
        (wrong_claims.lemma_1_one_mask_short, 4, "certificate"),
        (wrong_claims.lemma_for_case_3, 4, "certificate"),
        (wrong_claims.label_without_recovery, 4, "certificate"),
        (wrong_claims.single_masking, 2, "certificate"),
        (wrong_claims.round_trip_one_mask_short, 4, "round trip"),
        (wrong_claims.round_trip_from_certificate, 4, "round trip"),
        (wrong_claims.round_trip_for_one_patch, 2, "round trip"),
        (wrong_claims.round_trip_of_double_masking, 2, "round trip"),
    ],
)
def test_the_enumeration_finds_wrong_claims(rule: Rule, order: int, breaks: str) -> None:
    game = PatchGame(lattice_of("4 single windows", order), 2)
    certificates, round_trips = game.broken(rule(game.table))
    assert certificates.any() == (breaks == "certificate")
    assert (certificates if breaks == "certificate" else round_trips).any()


class TestMargins:
    """Theorem 6: labels with margins up to the threshold may differ in a later run, so they are the attacker's too."""

    game = PatchGame(lattice_of("3 single windows", 4), 2)
    # Which entries have a margin above the threshold: every choice.
    above = PatchGame(game.lattice, 2).table.labels.bool()

    def broken(self, margin: float) -> tuple[int, int]:
        """How many certificates there are over all choices, and how many of them are wrong."""
        labels = self.game.table.labels.repeat(len(self.above), 1)
        margins = self.above.float().repeat_interleave(len(self.game.table.labels), 0)
        verdicts = MRCert(margin=margin).decide(PredictionTable(self.game.lattice, labels, margins))
        choices = (len(self.above), len(self.game.table.labels))
        wrong = 0
        for above, label, certified in zip(
            self.above, verdicts.label.view(choices), verdicts.certified.view(choices), strict=True
        ):
            changed = torch.stack([self.game.changed(label, kept & above) for kept in self.game.attackers]).any(0)
            wrong += int((certified & changed).sum())
        return int(verdicts.certified.sum()), wrong

    def test_no_doubtful_label_breaks_a_certificate(self) -> None:
        claimed, wrong = self.broken(margin=0.5)
        assert wrong == 0
        certified_for_sure = int(MRCert().decide(self.game.table).certified.sum())
        assert claimed > certified_for_sure  # not only where every margin is large

    def test_without_a_margin_doubtful_labels_do(self) -> None:
        _, wrong = self.broken(margin=0.0)
        assert wrong > 0

    def test_a_patch_and_a_later_run_leave_a_round_trip_its_certificate(self) -> None:
        """Even if all labels that the attacker chooses are doubtful, and rounding takes from the others' margins."""
        labels, margin = self.game.table.labels, 0.5
        sure = PredictionTable(self.game.lattice, labels, torch.full(labels.shape, 2 * margin + 0.1))
        round_trip = MRCert(margin=margin).decide(sure).round_trip
        assert round_trip.any()
        for kept in self.game.attackers:
            patched = PredictionTable(self.game.lattice, labels, kept * (margin + 0.1) * torch.ones(labels.shape))
            certified = MRCert(margin=0.5).decide(patched).certified
            assert not (round_trip & (self.game.changed(certified, kept) | ~certified)).any()


class TestGame:
    """The enumeration itself, against loops."""

    def test_every_table_is_there_once(self) -> None:
        labels = PatchGame(lattice_of("3 windows, masks of 2", 4), 3).table.labels
        assert {tuple(row) for row in labels.tolist()} == set(product(range(3), repeat=4))
        assert len(labels) == 3**4
        assert len(PatchGame(lattice_of("3 single windows", 4), 2).table.labels) == 2**8

    @pytest.mark.parametrize("classes", [2, 3])
    @pytest.mark.parametrize("mask", [0b011, 0b110])
    def test_who_can_be_turned_into_whom(self, mask: int, classes: int) -> None:
        game = PatchGame(lattice_of("3 windows, masks of 2", 4), classes)
        tables = [dict(zip(game.lattice.unions, row, strict=True)) for row in game.table.labels.tolist()]
        for number, p in enumerate(tables):
            this_one = torch.arange(len(tables)) == number
            turned = game.changed(this_one, kept_entries(game.lattice, mask))
            reachable = [all(patched[union] == p[union] for union in p if union & mask == mask) for patched in tables]
            assert turned.tolist() == reachable

    def test_a_changed_verdict_is_found(self) -> None:
        game = PatchGame(lattice_of("3 windows, masks of 2", 4), 2)
        unmasked, everything = game.table.labels[:, 0], game.table.labels[:, game.lattice.index(0b111)]
        assert game.attackable(unmasked).all()
        assert not game.attackable(everything).any()
