"""The guarantees on grids with too many tables to enumerate: sampled tables, and attackers who forge witnesses."""

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from reference import wrong_claims
from reference.defender_tables import GRIDS, lattice_of, supersets
from reference.patch_game import Rule, kept_entries
from torch import Tensor

from mrcert_pl.defenders import MRCert, MRCertCascade, PatchCURE
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import PredictionTable

CLASSES = 3
SUPERSETS = {(grid, order): supersets(lattice_of(grid, order)) for grid in GRIDS for order in (2, 4)}

classes = st.integers(0, CLASSES - 1)
generators = st.integers(0, 2**32 - 1).map(lambda seed: torch.Generator().manual_seed(seed))


@st.composite
def near_constant(draw: st.DrawFn, lattice: UnionLattice, supersets: Tensor) -> Tensor:
    """``[mutant]``: one label wherever a mask (or nothing) is hidden, up to some order, with a few exceptions."""
    noise = torch.randint(CLASSES, (len(lattice),), generator=draw(generators))
    planted = draw(st.just(0) | st.integers(1, lattice.size(1) - 1))
    agree = supersets[planted] & (lattice.orders <= draw(st.integers(3, 4)))
    labels = torch.where(agree, draw(classes), noise)
    for column, label in draw(st.dictionaries(st.integers(0, len(lattice) - 1), classes, max_size=2)).items():
        labels[column] = label
    return labels


def forgeries(labels: Tensor, kept: Tensor, supersets: Tensor, noise: Tensor) -> Tensor:
    """``[attack, mutant]``: for every union and label, the patched version in which it comes closest to a witness.

    What the attacker doesn't need for it is noise, which leaves few true witnesses.
    """
    forged = torch.cat([torch.where(supersets, label, noise) for label in range(CLASSES)])
    return torch.where(kept, labels, forged)


def hold(rule: Rule, grid: str, order: int, examples: int, phases: tuple[Phase, ...]) -> tuple[int, int]:
    """Attack sampled tables; the number of certificates and of round trips among them."""
    lattice, above = lattice_of(grid, order), SUPERSETS[grid, order]
    candidates = above[: lattice.size(order // 2)]
    certified = round_trips = 0

    @settings(
        max_examples=examples,
        derandomize=True,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(near_constant(lattice, above), st.sampled_from(lattice.masks), generators)
    def attack(labels: Tensor, mask: int, generator: torch.Generator) -> None:
        nonlocal certified, round_trips
        noise = torch.randint(CLASSES, (len(lattice),), generator=generator)
        patched = forgeries(labels, kept_entries(lattice, mask), candidates, noise)
        before, after = rule(PredictionTable(lattice, labels[None])), rule(PredictionTable(lattice, patched))
        if before.certified:
            certified += 1
            assert (after.label == before.label).all()
        if before.round_trip:
            round_trips += 1
            assert (after.label == before.label).all()
            assert after.certified.all()

    attack()
    return certified, round_trips


@pytest.mark.parametrize("grid", GRIDS)
def test_mrcert(grid: str) -> None:
    certified, round_trips = hold(MRCert().decide, grid, 4, 100, tuple(Phase))
    assert certified > 10
    assert round_trips > 5


@pytest.mark.parametrize("defender", [MRCert(1), PatchCURE("original"), PatchCURE("majority")])
@pytest.mark.parametrize("grid", GRIDS)
def test_defenders_against_one_patch(grid: str, defender: MRCert | PatchCURE) -> None:
    certified, round_trips = hold(defender.decide, grid, 2, 100, tuple(Phase))
    assert certified > 10
    assert round_trips == 0


@st.composite
def by_order(draw: st.DrawFn, lattice: UnionLattice) -> Tensor:
    """``[mutant]``: one label for each order, with a few exceptions: witnesses on some levels of the cascade only."""
    labels = torch.tensor(draw(st.lists(classes, min_size=lattice.order + 1, max_size=lattice.order + 1)))
    labels = labels[lattice.orders]
    for column, label in draw(st.dictionaries(st.integers(0, len(lattice) - 1), classes, max_size=2)).items():
        labels[column] = label
    return labels


def spoiled(lattice: UnionLattice, labels: Tensor, label: Tensor, place: int, generator: torch.Generator) -> Tensor:
    """``[mutant]``: what an attacker under ``place`` wants of the entries that he can change.

    No set of few masks agrees with itself and ``place`` together, and the unmasked image has another label.
    """
    other = torch.randint(1, CLASSES, (len(lattice),), generator=generator)
    for column in range(lattice.size(lattice.order - int(lattice.orders[lattice.index(place)]))):
        other[column] += labels[lattice.index(lattice.unions[column] | place)]
    other[0] += label - labels[lattice.index(place)]
    return other % CLASSES


@pytest.mark.parametrize("defender", [MRCert(2, "sharp"), MRCertCascade(2)], ids=["sharp", "cascade"])
@pytest.mark.parametrize("grid", GRIDS)
def test_certified_places_hold_and_all_others_break(grid: str, defender: MRCert | MRCertCascade) -> None:
    lattice, above = lattice_of(grid, 4), SUPERSETS[grid, 4]
    places = lattice.unions[1 : lattice.size(2)]
    outcomes: set[tuple[int, bool]] = set()

    @settings(max_examples=30, derandomize=True, database=None, deadline=None)
    @given(near_constant(lattice, above) | by_order(lattice), st.sampled_from(places), generators)
    def attack(labels: Tensor, place: int, generator: torch.Generator) -> None:
        before = defender.decide(PredictionTable(lattice, labels[None]))
        wanted = spoiled(lattice, labels, before.label[0], place, generator)
        patched = forgeries(labels, kept_entries(lattice, place), above[: lattice.size(2)], wanted)
        after = defender.decide(PredictionTable(lattice, patched))
        patches = int(lattice.orders[lattice.index(place)])
        left = before.certified_patches - patches
        if left >= 0:
            assert (after.label == before.label).all()
            assert (after.certified_patches >= left).all()
        if patches == 1:
            safe = bool(before.safe_masks[0, lattice.masks.index(place)])
            assert (after.label == before.label).all() == safe
            outcomes.add((patches, safe))
        else:
            outcomes.add((patches, bool(left >= 0)))

    attack()
    assert outcomes == {(patches, safe) for patches in (1, 2) for safe in (False, True)}


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        (wrong_claims.lemmas_one_mask_short, 4),
        (wrong_claims.lemma_1_one_mask_short, 4),
        (wrong_claims.lemma_for_case_3, 4),
        (wrong_claims.round_trip_one_mask_short, 4),
        (wrong_claims.round_trip_from_certificate, 4),
        (wrong_claims.round_trip_for_one_patch, 2),
        (wrong_claims.round_trip_of_double_masking, 2),
        (wrong_claims.single_masking, 2),
    ],
)
def test_the_sampled_attackers_find_wrong_claims(rule: Rule, order: int) -> None:
    with pytest.raises(AssertionError):
        hold(rule, "9 columns, masks of 3, stride 2", order, 300, (Phase.generate,))
