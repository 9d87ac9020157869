"""The guarantees themselves, by enumeration: every table, every patch, everything that an attacker can make of it."""

from collections.abc import Callable
from functools import reduce
from itertools import product
from operator import or_

import pytest
import torch
from reference import wrong_claims
from reference.patch_game import SMALL_GRIDS, PatchGame, Rule, kept_entries, small_lattice
from torch import Tensor

from mrcert_pl.defenders import Defender, MRCert, MRCertCascade, PatchCURE, Verdicts
from mrcert_pl.mutants.table import PredictionTable

DEFENDERS: dict[str, Defender] = {
    "MRCert, 1 patch": MRCert(1),
    "MRCert, 2 patches": MRCert(2),
    "MRCert, 3 patches": MRCert(3),
    "PatchCURE, original": PatchCURE("original"),
    "PatchCURE, majority": PatchCURE("majority"),
    "PatchCURE, the paper's baseline": PatchCURE(certificate="paper"),
}
# Labels that a defender compares on all tables of a grid, which is what the time goes into.
MOST_COMPARISONS = 1 << 26


def comparisons(grid: str, classes: int, defender: Defender) -> int:
    lattice = small_lattice(grid, defender.order)
    return classes ** len(lattice) * lattice.size(defender.order // 2) ** 2


def feasible() -> list[tuple[str, int, str]]:
    return [
        (grid, classes, name)
        for grid, classes, (name, defender) in product(SMALL_GRIDS, (2, 3), DEFENDERS.items())
        if comparisons(grid, classes, defender) <= MOST_COMPARISONS
    ]


@pytest.mark.parametrize(("grid", "classes", "name"), feasible())
def test_no_patch_breaks_a_guarantee(grid: str, classes: int, name: str) -> None:
    defender = DEFENDERS[name]
    lattice = small_lattice(grid, defender.order)
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
    assert {(grid, name) for grid, classes, name in cases if classes == 2} == set(product(SMALL_GRIDS, DEFENDERS))
    left_out = set(product(SMALL_GRIDS, DEFENDERS)) - {(grid, name) for grid, classes, name in cases if classes == 3}
    assert left_out == {
        ("4 single windows", "MRCert, 2 patches"),
        ("4 single windows", "MRCert, 3 patches"),
        ("4 windows, one mask inside another", "MRCert, 3 patches"),
        ("5 windows, masks of 2", "MRCert, 3 patches"),
    }


def test_a_certificate_alone_does_not_survive_a_patch() -> None:
    """So the round trip promises something, and so does a certified label that is not the unmasked image's."""
    game = PatchGame(small_lattice("4 single windows", 4), 2)
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
    game = PatchGame(small_lattice("4 single windows", order), 2)
    certificates, round_trips = game.broken(rule(game.table))
    assert certificates.any() == (breaks == "certificate")
    assert (certificates if breaks == "certificate" else round_trips).any()


MARGIN = 0.5
WITH_MARGINS: dict[str, Callable[[float], Defender]] = {
    "paper": lambda margin: MRCert(margin=margin),
    "sharp": lambda margin: MRCert(certificate="sharp", margin=margin),
    "cascade": lambda margin: MRCertCascade(margin=margin),
}


@pytest.mark.parametrize("build", WITH_MARGINS.values(), ids=WITH_MARGINS)
class TestMargins:
    """Theorem 6: labels with margins up to the threshold may differ in a later run, so they are the attacker's too."""

    game = PatchGame(small_lattice("3 single windows", 4), 2)
    # Which entries have a margin above the threshold: every choice.
    choices = PatchGame(game.lattice, 2).table.labels.bool()

    def decided(self, defender: Defender, above: Tensor, larger: float, smaller: float = 0.0) -> Verdicts:
        """Verdicts on all tables, with one of two margins for each entry."""
        labels = self.game.table.labels
        margins = torch.where(above, larger, smaller).expand(labels.shape)
        return defender.decide(PredictionTable(self.game.lattice, labels, margins))

    def broken(self, build: Callable[[float], Defender], margin: float) -> tuple[int, int]:
        """How many places are called safe over all choices, and how many of them wrongly."""
        defender, lattice, claimed, wrong = build(margin), self.game.lattice, 0, 0
        for above in self.choices:
            verdicts = self.decided(defender, above, MARGIN + 0.1)
            for order in range(3):
                certified = verdicts.certified_patches >= order
                for place in lattice.unions[: lattice.size(order)]:
                    changed = self.game.changed(verdicts.label, kept_entries(lattice, place) & above)
                    claimed, wrong = claimed + int(certified.sum()), wrong + int((certified & changed).sum())
            if verdicts.safe_masks is not None:
                for safe, kept in zip(verdicts.safe_masks.T, self.game.attackers, strict=True):
                    wrong += int((safe & self.game.changed(verdicts.label, kept & above)).sum())
        return claimed, wrong

    def test_no_doubtful_label_breaks_a_certificate(self, build: Callable[[float], Defender]) -> None:
        claimed, wrong = self.broken(build, margin=MARGIN)
        assert wrong == 0
        claimed_for_sure, _ = self.broken(build, margin=2 * MARGIN)
        assert claimed > claimed_for_sure

    def test_without_a_margin_doubtful_labels_do(self, build: Callable[[float], Defender]) -> None:
        _, wrong = self.broken(build, margin=0.0)
        assert wrong > 0

    def test_doubtful_labels_outside_a_certificate_do_no_harm(self, build: Callable[[float], Defender]) -> None:
        defender, doubtful = build(MARGIN), ~self.choices.all(1)
        assert any(
            self.decided(defender, above, MARGIN + 0.1).certified.any() for above in self.choices[doubtful].unbind()
        )

    def test_a_patch_and_a_later_run_leave_a_round_trip_its_certificate(
        self, build: Callable[[float], Defender]
    ) -> None:
        """Even if all labels that the attacker chooses are doubtful, and rounding takes from the others' margins."""
        defender = build(MARGIN)
        round_trip = torch.stack(
            [self.decided(defender, above, 2 * MARGIN + 0.1, 2 * MARGIN).round_trip for above in self.choices]
        )
        assert round_trip.any()
        for kept in self.game.attackers:
            for left in (self.choices & kept).unique(dim=0):
                after = self.decided(defender, left, MARGIN + 0.1)
                lost = ~after.certified | self.game.changed(after.certified, left)
                lost |= self.game.changed(after.label, left)
                assert not (round_trip[((self.choices & kept) == left).all(1)] & lost).any()

    def test_a_round_trip_needs_twice_the_margin(self, build: Callable[[float], Defender]) -> None:
        sure = torch.ones(len(self.game.lattice), dtype=torch.bool)
        assert self.decided(build(MARGIN), sure, 2 * MARGIN + 0.1).round_trip.any()
        once = self.decided(build(MARGIN), sure, 2 * MARGIN)
        assert once.certified.any()
        assert not once.round_trip.any()


@pytest.mark.parametrize("settings", [{}, {"reference": "majority"}, {"certificate": "paper"}], ids=str)
class TestMarginsOfDoubleMasking:
    """Theorem 6 for Theorem 4: every table, every choice of doubtful labels, every patch, every rounding."""

    game = PatchGame(small_lattice("3 single windows", 2), 2)
    choices = PatchGame(game.lattice, 2).table.labels.bool()

    def broken(self, defender: PatchCURE) -> tuple[int, int]:
        """Number of certificates over all choices, and number of those that a patch and rounding break."""
        labels, claimed, wrong = self.game.table.labels, 0, 0
        for above in self.choices:
            margins = torch.where(above, MARGIN + 0.1, 0.0).expand(labels.shape)
            verdicts = defender.decide(PredictionTable(self.game.lattice, labels, margins))
            claimed += int(verdicts.certified.sum())
            # No patch at all is one of the attackers: rounding alone.
            for kept in [torch.ones_like(above), *self.game.attackers]:
                changed = self.game.changed(verdicts.label, kept & above)
                wrong += int((verdicts.certified & changed).sum())
        return claimed, wrong

    def test_no_doubtful_label_breaks_a_certificate(self, settings: dict[str, str]) -> None:
        claimed, wrong = self.broken(PatchCURE(margin=MARGIN, **settings))  # type: ignore[arg-type]
        assert claimed > 0
        assert wrong == 0

    def test_without_a_margin_doubtful_labels_do(self, settings: dict[str, str]) -> None:
        assert self.broken(PatchCURE(**settings))[1] > 0  # type: ignore[arg-type]


class TestGame:
    """The enumeration itself, against loops."""

    def test_every_table_is_there_once(self) -> None:
        labels = PatchGame(small_lattice("3 windows, masks of 2", 4), 3).table.labels
        assert {tuple(row) for row in labels.tolist()} == set(product(range(3), repeat=4))
        assert len(labels) == 3**4
        assert len(PatchGame(small_lattice("3 single windows", 4), 2).table.labels) == 2**8

    @pytest.mark.parametrize("classes", [2, 3])
    @pytest.mark.parametrize("mask", [0b011, 0b110])
    def test_who_can_be_turned_into_whom(self, mask: int, classes: int) -> None:
        game = PatchGame(small_lattice("3 windows, masks of 2", 4), classes)
        tables = [dict(zip(game.lattice.unions, row, strict=True)) for row in game.table.labels.tolist()]
        for number, p in enumerate(tables):
            this_one = torch.arange(len(tables)) == number
            turned = game.changed(this_one, kept_entries(game.lattice, mask))
            reachable = [all(patched[union] == p[union] for union in p if union & mask == mask) for patched in tables]
            assert turned.tolist() == reachable

    def test_a_changed_verdict_is_found(self) -> None:
        game = PatchGame(small_lattice("3 windows, masks of 2", 4), 2)
        unmasked, everything = game.table.labels[:, 0], game.table.labels[:, game.lattice.index(0b111)]
        assert game.attackable(unmasked).all()
        assert not game.attackable(everything).any()
