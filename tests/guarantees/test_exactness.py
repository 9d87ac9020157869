"""Sharp MRCert and the cascade certify exactly what no attacker can break: every table, every place, every content."""

import pytest
import torch
from reference.patch_game import SMALL_GRIDS, PatchGame, kept_entries

from mrcert_pl.defenders import MRCert, MRCertCascade, PatchCURE, Verdicts
from mrcert_pl.geometry import UnionLattice

GRIDS = SMALL_GRIDS | {"4 windows in a ring, masks of 2": ((0b0011, 0b0110, 0b1100, 0b1001), 4)}
PATCHES = (1, 2, 3)
# With three labels on the others there are more tables than there is time for.
CASES = [(grid, 2) for grid in GRIDS] + [
    (grid, 3)
    for grid in (
        "3 single windows",
        "3 windows, masks of 2",
        "4 windows, masks of 2",
        "4 windows in a ring, masks of 2",
    )
]


def game_on(grid: str, classes: int, patches: int) -> PatchGame:
    masks, windows = GRIDS[grid]
    return PatchGame(UnionLattice(masks, windows, 2 * patches, allow_blind=True), classes)


def check_exact(game: PatchGame, verdicts: Verdicts, patches: int) -> None:
    label, certified = verdicts.label, verdicts.certified_patches
    assert torch.equal(certified >= 0, verdicts.level > 0)
    unbroken = [~game.attackable(label, r) for r in range(1, patches + 1)]
    for r, holds in enumerate(unbroken, start=1):
        assert torch.equal(certified >= r, holds)

    for safe, mask in zip(verdicts.safe_masks.T, game.lattice.masks, strict=True):
        assert torch.equal(safe, ~game.changed(label, kept_entries(game.lattice, mask)))

    # Earlier and later patches: what each patched version can still promise.
    for q in range(1, patches):
        for r in range(1, patches - q + 1):
            lasting = unbroken[q - 1] & (certified >= r) & ~game.attackable(certified >= r, q)
            assert torch.equal(certified >= q + r, lasting)
    assert torch.equal(verdicts.certified, certified >= 1)
    assert torch.equal(verdicts.round_trip, certified >= 2)


@pytest.mark.parametrize("patches", PATCHES)
@pytest.mark.parametrize(("grid", "classes"), CASES)
@pytest.mark.parametrize("cascade", [False, True], ids=["sharp", "cascade"])
def test_certificates_are_sound_and_exact(cascade: bool, grid: str, classes: int, patches: int) -> None:
    game = game_on(grid, classes, patches)
    defender = MRCertCascade(patches) if cascade else MRCert(patches, "sharp")
    check_exact(game, defender.decide(game.table), patches)


@pytest.mark.parametrize("patches", PATCHES)
@pytest.mark.parametrize(("grid", "classes"), CASES)
def test_rules_that_contain_each_other(grid: str, classes: int, patches: int) -> None:
    """The paper's is sound, the sharp one never certifies less, and the cascade never less than that."""
    game = game_on(grid, classes, patches)
    paper, sharp = (MRCert(patches, certificate).decide(game.table) for certificate in ("paper", "sharp"))
    cascade = MRCertCascade(patches).decide(game.table)
    for r in range(1, patches + 1):
        assert not ((paper.certified_patches >= r) & game.attackable(paper.label, r)).any()
    for weaker, stronger in ((paper, sharp), (sharp, cascade)):
        assert (weaker.certified_patches <= stronger.certified_patches).all()
        for field in ("certified", "round_trip"):
            assert not (getattr(weaker, field) & ~getattr(stronger, field)).any()
    for field in ("label", "case", "witness", "level"):
        assert torch.equal(getattr(paper, field), getattr(sharp, field))
    assert not (sharp.safe_masks & ~cascade.safe_masks).any()
    if patches == 1:
        assert torch.equal(sharp.certified_patches, cascade.certified_patches)
    if patches == 2:
        assert torch.equal(sharp.round_trip, cascade.round_trip)


def test_the_rules_differ() -> None:
    """So the comparisons above compare something: for each rule a table that only the next one certifies."""
    game = game_on("4 single windows", 2, 2)
    paper, sharp = (MRCert(2, certificate).decide(game.table) for certificate in ("paper", "sharp"))
    cascade, patchcure = MRCertCascade(2).decide(game.table), PatchCURE().decide(game.table)
    assert (sharp.certified & ~paper.certified).any()
    assert (sharp.round_trip & ~paper.round_trip).any()
    assert (cascade.certified & ~sharp.certified).any()
    assert (cascade.label != sharp.label).any()
    assert (cascade.certified & ~patchcure.certified).any()
    for verdicts in (paper, sharp, cascade):
        assert verdicts.certified_patches.unique().tolist() == [-1, 0, 1, 2]
    assert cascade.level.unique().tolist() == [0, 1, 2]


def test_double_masking_can_certify_what_the_cascade_does_not() -> None:
    """Where an attacker can forge a witness against two patches, which double masking never looks for."""
    game = game_on("4 single windows", 2, 2)
    cascade, patchcure = MRCertCascade(2).decide(game.table), PatchCURE().decide(game.table)
    only = patchcure.certified & ~cascade.certified
    assert only.any()
    assert (cascade.label == patchcure.label)[only].any()
    assert torch.equal(PatchCURE().decide(game.table).certified, MRCert(1, "sharp").decide(game.table).certified)


def test_one_mask_inside_another_decides_on_a_lower_level() -> None:
    """Two patches in one mask: the level that gives a certificate can be one for fewer patches than it is for."""
    lattice = UnionLattice((0b01, 0b11), 3, 4, allow_blind=True)
    game = PatchGame(lattice, 3)
    verdicts = MRCertCascade(2).decide(game.table)
    check_exact(game, verdicts, 2)
