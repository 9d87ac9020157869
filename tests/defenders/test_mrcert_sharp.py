"""The sharp certificate of MRCert against its definition in loops, and what it has in common with the paper's."""

import math
from collections.abc import Callable

import pytest
import torch
from reference.defender_reference import (
    general_certified,
    general_inference,
    general_round_trip,
    largest_certified,
    mrcert_certified,
    sets_upto,
    sharp_safe,
)
from reference.defender_tables import DEGENERATE, GRIDS, as_mappings, lattice_of, planted_table, table_of
from torch import Tensor

from mrcert_pl.defenders import MRCert, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.mutants.table import PredictionTable

# Three patches are for few masks only.
CASES = [(grid, n) for grid, (masks, _) in GRIDS.items() for n in (1, 2, 3) if n < 3 or len(masks) <= 5]


def by_definition(lattice: UnionLattice, labels: Tensor, patches: int) -> list[tuple[int, list[bool]]]:
    """``(certified patches, safe masks)`` of each image."""
    masks = lattice.masks
    results = []
    for p in as_mappings(lattice, labels):
        safe = {place: sharp_safe(p, masks, patches, place) for place in sets_upto(masks, patches)}
        results.append((largest_certified(safe.__getitem__, masks, patches), [safe[mask] for mask in masks]))
    return results


def decided(verdicts: Verdicts) -> list[tuple[int, list[bool]]]:
    return list(zip(verdicts.certified_patches.tolist(), verdicts.safe_masks.tolist(), strict=True))


@pytest.mark.parametrize(("grid", "patches"), CASES + [(grid, n) for grid in DEGENERATE for n in (1, 2, 3)])
def test_certificates_are_those_of_the_definition(grid: str, patches: int) -> None:
    table = planted_table(lattice_of(grid, 2 * patches), images=100)
    expected = by_definition(table.mutants, table.labels, patches)
    verdicts = MRCert(patches, "sharp").decide(table)
    assert decided(verdicts) == expected
    assert torch.equal(verdicts.certified, verdicts.certified_patches >= 1)
    assert torch.equal(verdicts.round_trip, verdicts.certified_patches >= 2)
    # With as many masks as hide everything all is certified.
    if grid in GRIDS and (1 << table.mutants.windows) - 1 not in table.mutants.unions[: table.mutants.size(patches)]:
        assert {0, patches} <= {count for count, _ in expected}
        assert any(any(safe) and not all(safe) for _, safe in expected)


@pytest.mark.parametrize(("grid", "patches"), CASES)
def test_inference_is_the_same_with_both_certificates(grid: str, patches: int) -> None:
    table = planted_table(lattice_of(grid, 2 * patches), seed=2)
    paper, sharp = MRCert(patches).decide(table), MRCert(patches, "sharp").decide(table)
    for field in ("label", "case", "witness", "level"):
        assert torch.equal(getattr(paper, field), getattr(sharp, field))
    assert torch.equal(sharp.level, torch.where(sharp.witness >= 0, patches, 0))


@pytest.mark.parametrize(("grid", "patches"), CASES)
def test_the_paper_never_certifies_more(grid: str, patches: int) -> None:
    table = planted_table(lattice_of(grid, 2 * patches), images=1000, seed=3)
    paper, sharp = MRCert(patches).decide(table), MRCert(patches, "sharp").decide(table)
    assert (paper.certified_patches <= sharp.certified_patches).all()
    assert not (paper.certified & ~sharp.certified).any()
    assert not (paper.round_trip & ~sharp.round_trip).any()
    if patches > 1:
        assert (paper.certified_patches < sharp.certified_patches).any()


@pytest.mark.parametrize("grid", GRIDS)
def test_the_papers_certified_patches(grid: str) -> None:
    table = planted_table(lattice_of(grid, 4), images=300)
    verdicts, masks = MRCert().decide(table), table.mutants.masks
    for p, count in zip(as_mappings(table.mutants, table.labels), verdicts.certified_patches.tolist(), strict=True):
        if general_round_trip(p, masks, 2):
            assert count == 2
        elif general_certified(p, masks, 2):
            assert count == 1
        else:
            assert count == (-1 if general_inference(p, masks, 2)[1] == 4 else 0)
    assert verdicts.safe_masks is None


class TestKnownAnswers:
    """Six masks of one window, and a label for every set of hidden windows: (certified patches, safe masks)."""

    lattice = UnionLattice([1 << window for window in range(6)], windows=6, order=4)

    def verdict(self, label: Callable[[frozenset[int]], int]) -> tuple[int, list[bool]]:
        def of_bits(union: int) -> int:
            return label(frozenset(window for window in range(6) if union >> window & 1))

        return decided(MRCert(2, "sharp").decide(table_of(self.lattice, of_bits)))[0]

    def test_one_label(self) -> None:
        assert self.verdict(lambda hidden: 7) == (2, [True] * 6)

    def test_two_dissenting_triples(self) -> None:
        """Pairs with a window of each triple never meet one, but every mask alone does: the paper certifies nothing."""
        triples = ({0, 1, 2}, {3, 4, 5})
        assert self.verdict(lambda hidden: int(hidden in triples)) == (1, [True] * 6)
        p = {union: int(union in (0b000111, 0b111000)) for union in self.lattice.unions}
        assert not mrcert_certified(p, self.lattice.masks)

    def test_a_dissenting_quadruple_costs_the_round_trip(self) -> None:
        assert self.verdict(lambda hidden: int(hidden == {0, 1, 2, 3})) == (1, [True] * 6)

    def test_an_earlier_patch_leaves_one_later_one(self) -> None:
        """Window 0 rules the label as long as it is seen; with it any second window may be hidden."""
        assert self.verdict(lambda hidden: 1 if 0 in hidden else 2 + len(hidden)) == (1, [True] * 6)

    def test_two_earlier_patches_leave_their_own_places_safe(self) -> None:
        expected = (0, [True, True, False, False, False, False])
        assert self.verdict(lambda hidden: 1 if hidden >= {0, 1} else 2 + len(hidden)) == expected

    def test_nothing_is_safe_without_a_witness(self) -> None:
        assert self.verdict(lambda hidden: len(hidden) % 2) == (-1, [False] * 6)


def test_names_in_results() -> None:
    assert MRCert().name == "mrcert"
    assert MRCert(certificate="sharp").name == "mrcert_sharp"


def test_safe_masks_follow_the_order_of_the_lattice() -> None:
    lattice = covering_lattice((1, 14), (224, 16), PatchSpec(32), 4)
    for column, mask in enumerate(lattice.masks):
        # Only the sets that hide all of this mask agree.
        table = table_of(lattice, lambda union, mask=mask: 1 if union & mask == mask else 2 + union % 997)
        assert MRCert(1, "sharp").decide(table).safe_masks.nonzero().tolist() == [[0, column]]


def test_masks_on_a_grid_of_tokens() -> None:
    """Sixteen masks on 14x14 tokens: 2,517 mutants."""
    lattice = covering_lattice((14, 14), (16, 16), PatchSpec(32), 4, stride=3)
    labels = torch.full((4, len(lattice)), 5).scatter_(1, torch.tensor([[0], [3], [40], [2000]]), 1)
    table = PredictionTable(lattice, labels)
    verdicts = MRCert(2, "sharp").decide(table)
    assert verdicts.safe_masks.shape == (4, 16)
    assert (verdicts.certified_patches > 0).any()
    assert decided(MRCert(1, "sharp").decide(table)) == by_definition(lattice, table.labels, 1)


class TestMargins:
    lattice = lattice_of("6 columns, masks of 2", 4)
    labels = planted_table(lattice, images=300).labels
    steps = torch.tensor([0.0, 0.25, 0.5, math.nan, 0.75, 1.0] + [1.5] * 60 + [math.inf] * 60)
    margins = steps[torch.randint(len(steps), labels.shape, generator=torch.Generator().manual_seed(0))]
    table = PredictionTable(lattice, labels, margins)

    def test_only_entries_above_the_margin_count(self) -> None:
        """In the reference an entry that does not count equals nothing, not even itself."""

        def doubted(margin: float) -> list[tuple[int, list[bool]]]:
            return by_definition(self.lattice, torch.where(margin < self.margins, self.labels.double(), math.nan), 2)

        verdicts = MRCert(2, "sharp", margin=0.5).decide(self.table)
        assert decided(verdicts) == doubted(0.5)
        assert verdicts.round_trip.tolist() == [count >= 2 for count, _ in doubted(1.0)]
        assert (verdicts.certified_patches >= 2).sum() > verdicts.round_trip.sum() > 0

    def test_a_table_without_margins(self) -> None:
        with pytest.raises(ConfigurationError, match=r"margin 0\.5 needs a table with margins"):
            MRCert(2, "sharp", margin=0.5).decide(PredictionTable(self.lattice, self.labels))
