"""The guarantees on grids with too many tables to enumerate: sampled tables, and attackers who forge witnesses."""

import pytest
import torch
import wrong_claims
from defender_tables import GRIDS, lattice_of, supersets
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from patch_game import Rule, kept_entries
from torch import Tensor

from mrcert_pl.defenders import MRCert, PatchCURE
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
