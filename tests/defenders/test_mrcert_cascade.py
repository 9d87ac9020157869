"""The cascade against its definition in loops, and every promise of its interface."""

import inspect
import math

import pytest
import torch
from reference.defender_reference import cascade_inference, cascade_safe, largest_certified, sets_upto
from reference.defender_tables import (
    DEGENERATE,
    GRIDS,
    as_mappings,
    lattice_of,
    planted_labels,
    planted_table,
    rows_of,
    table_of,
)
from torch import Tensor

from mrcert_pl.defenders import MRCert, MRCertCascade, PatchCURE, Verdicts, witnesses
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

# Three patches are for few masks only.
CASES = [(grid, n) for grid, (masks, _) in GRIDS.items() for n in (1, 2, 3) if n < 3 or len(masks) <= 5]


def layered_labels(lattice: UnionLattice, images: int, seed: int = 0) -> Tensor:
    """A label for each order with a few exceptions, or two planted patterns: witnesses on the lower levels alone."""
    draw = torch.Generator().manual_seed(seed)
    by_order = torch.randint(3, (images, lattice.order + 1), generator=draw)
    by_order[: images // 2, 2] = by_order[: images // 2, 1]
    layers = by_order[:, lattice.orders]
    layers.scatter_(1, torch.randint(len(lattice), (images, 1), generator=draw), 1)

    low, high = (planted_labels(lattice, images, 3, seed=2 * seed + part) for part in range(2))
    limit = torch.randint(lattice.order + 1, (images, 1), generator=draw)
    return torch.cat([layers, torch.where(lattice.orders <= limit, low, high)])


def by_definition(
    lattice: UnionLattice, labels: Tensor, patches: int, counts: Tensor | None = None
) -> list[tuple[int, int, int, list[bool]]]:
    """``(label, level, certified patches, safe masks)`` of each image."""
    masks, results = lattice.masks, []
    every = as_mappings(lattice, torch.ones_like(labels) if counts is None else counts)
    for p, counting in zip(as_mappings(lattice, labels), every, strict=True):
        safe = {
            place: cascade_safe(p, masks, patches, place, counting.__getitem__) for place in sets_upto(masks, patches)
        }
        certified = largest_certified(safe.__getitem__, masks, patches)
        results.append((*cascade_inference(p, masks, patches), certified, [safe[mask] for mask in masks]))
    return results


def decided(verdicts: Verdicts) -> list[tuple[int, int, int, list[bool]]]:
    fields = (verdicts.label, verdicts.level, verdicts.certified_patches, verdicts.safe_masks)
    return list(zip(*(field.tolist() for field in fields), strict=True))


@pytest.mark.parametrize(("grid", "patches"), CASES + [(grid, n) for grid in DEGENERATE for n in (1, 2, 3)])
def test_verdicts_are_those_of_the_definition(grid: str, patches: int) -> None:
    lattice = lattice_of(grid, 2 * patches)
    labels = layered_labels(lattice, 40)
    verdicts = MRCertCascade(patches).decide(PredictionTable(lattice, labels))
    assert decided(verdicts) == by_definition(lattice, labels, patches)
    assert torch.equal(verdicts.certified, verdicts.certified_patches >= 1)
    assert torch.equal(verdicts.round_trip, verdicts.certified_patches >= 2)
    assert torch.equal(verdicts.case, patches + 1 - verdicts.level)


@pytest.mark.parametrize("patches", [1, 2, 3])
def test_every_level_and_every_count_occurs(patches: int) -> None:
    lattice = UnionLattice([1 << window for window in range(6)], 6, 2 * patches, allow_blind=True)
    verdicts = MRCertCascade(patches).decide(PredictionTable(lattice, layered_labels(lattice, 100)))
    assert set(verdicts.level.tolist()) == set(range(patches + 1))
    assert set(verdicts.certified_patches.tolist()) == set(range(-1, patches + 1))


@pytest.mark.parametrize("grid", GRIDS)
def test_witness(grid: str) -> None:
    lattice = lattice_of(grid, 4)
    labels = layered_labels(lattice, 100)
    verdicts = MRCertCascade(2).decide(PredictionTable(lattice, labels))
    levels = [MRCert(n).decide(PredictionTable(lattice, labels)) for n in (1, 2)]
    for level, witness, one, two in zip(
        verdicts.level.tolist(), verdicts.witness.tolist(), *(v.witness.tolist() for v in levels), strict=True
    ):
        assert (level, witness) == ((2, two) if two >= 0 else (1, one) if one >= 0 else (0, -1))
    assert torch.equal(verdicts.label[verdicts.level == 2], levels[1].label[verdicts.level == 2])
    assert torch.equal(verdicts.label[verdicts.level == 1], levels[0].label[verdicts.level == 1])
    assert torch.equal(verdicts.label[verdicts.level == 0], labels[:, 0][verdicts.level == 0])


@pytest.mark.parametrize(("grid", "patches"), CASES)
def test_it_certifies_whatever_sharp_mrcert_does(grid: str, patches: int) -> None:
    lattice = lattice_of(grid, 2 * patches)
    table = PredictionTable(lattice, layered_labels(lattice, 150))
    sharp, cascade = MRCert(patches, "sharp").decide(table), MRCertCascade(patches).decide(table)
    assert (sharp.certified_patches <= cascade.certified_patches).all()
    assert not (sharp.safe_masks & ~cascade.safe_masks).any()
    assert torch.equal(sharp.label[sharp.level > 0], cascade.label[sharp.level > 0])
    if patches == 1:
        assert decided(sharp) == decided(cascade)
    if grid == "9 columns, masks of 3, stride 2" and patches == 2:
        assert (cascade.certified & ~sharp.certified).any()


class TestKnownAnswers:
    """Six masks of one window, two patches: (label, level, certified patches, safe masks)."""

    lattice = UnionLattice([1 << window for window in range(6)], windows=6, order=4)

    def verdict(self, *by_order: int) -> tuple[int, int, int, list[bool]]:
        """A label for each number of hidden windows, from none to four."""
        table = table_of(self.lattice, lambda union: by_order[union.bit_count()])
        assert PatchCURE().decide(table).certified.tolist() == [len(set(by_order[1:3])) == 1]
        return decided(MRCertCascade().decide(table))[0]

    def test_one_label(self) -> None:
        assert self.verdict(7, 7, 7, 7, 7) == (7, 2, 2, [True] * 6)

    def test_double_masking_where_mrcert_finds_no_witness(self) -> None:
        """Sets of three disagree with those of four, so no attacker can make a set of two look stable."""
        assert self.verdict(3, 7, 7, 5, 7) == (7, 1, 1, [True] * 6)

    def test_the_higher_level_decides_first(self) -> None:
        """Double masking would say 7 here, but from two masks on everything says 3."""
        assert self.verdict(7, 7, 3, 3, 3) == (3, 2, 2, [True] * 6)

    def test_a_forgeable_level_spoils_a_certificate_of_double_masking(self) -> None:
        """Sets of three and four agree on 5: an attacker changes a set of two, and what else shows his window."""
        assert self.verdict(3, 7, 7, 5, 5) == (7, 1, 0, [False] * 6)

    def test_no_witness_leaves_the_label_of_the_unmasked_image(self) -> None:
        assert self.verdict(7, 3, 7, 3, 7) == (7, 0, -1, [False] * 6)


def test_a_round_trip_on_a_lower_level() -> None:
    """Three patches, one label but with five windows hidden: no pair is a witness on level 3, all are on level 2."""
    lattice = UnionLattice([1 << window for window in range(7)], windows=7, order=6)
    table = table_of(lattice, lambda union: int(union.bit_count() == 5))
    assert MRCert(3, "sharp").decide(table).certified_patches.tolist() == [1]
    verdicts = MRCertCascade(3).decide(table)
    assert (verdicts.level.tolist(), verdicts.certified_patches.tolist()) == ([3], [2])
    assert verdicts.round_trip.all()


class TestBatches:
    lattice = lattice_of("9 columns, masks of 3, stride 2", 4)
    table = PredictionTable(lattice, layered_labels(lattice, 30))

    @pytest.mark.parametrize("images_at_once", [0, 1, 7, 60])
    def test_parts_do_not_show(self, images_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = decided(MRCertCascade().decide(self.table))
        monkeypatch.setattr(witnesses, "_CHUNK", images_at_once * self.lattice.size(2) ** 2)
        assert decided(MRCertCascade().decide(self.table)) == expected

    @pytest.mark.parametrize("dtype", [torch.int16, torch.int32])
    def test_any_integers_do(self, dtype: torch.dtype) -> None:
        verdicts = MRCertCascade().decide(PredictionTable(self.lattice, self.table.labels.to(dtype)))
        assert decided(verdicts) == decided(MRCertCascade().decide(self.table))
        for field in ("label", "case", "witness", "certified_patches", "level"):
            assert getattr(verdicts, field).dtype == torch.long
        assert verdicts.certified.dtype == verdicts.round_trip.dtype == verdicts.safe_masks.dtype == torch.bool

    def test_no_images(self) -> None:
        verdicts = MRCertCascade().decide(PredictionTable.empty(self.lattice, 0))
        assert rows_of(verdicts) == []
        assert verdicts.safe_masks.shape == (0, len(self.lattice.masks))

    def test_higher_orders_play_no_part(self) -> None:
        lattice = lattice_of("9 columns, masks of 3, stride 2", 5)
        labels = torch.full((60, len(lattice)), NOT_EVALUATED)
        labels[:, : len(self.lattice)] = self.table.labels
        assert decided(MRCertCascade().decide(PredictionTable(lattice, labels))) == decided(
            MRCertCascade().decide(self.table)
        )

    @pytest.mark.parametrize(("patch_px", "patches"), [(16, 2), (32, 3)])
    def test_fourteen_columns(self, patch_px: int, patches: int) -> None:
        masks = covering_lattice((1, 14), (224, 16), PatchSpec(patch_px), 2).masks
        lattice = UnionLattice(masks, 14, 2 * patches, allow_blind=True)
        table = PredictionTable(lattice, layered_labels(lattice, 1))
        verdicts = MRCertCascade(patches).decide(table)
        assert len(verdicts) == 2
        assert decided(MRCertCascade(1).decide(table)) == by_definition(lattice, table.labels, 1)


class TestMargins:
    lattice = lattice_of("9 columns, masks of 3, stride 2", 4)
    labels = layered_labels(lattice, 150)
    steps = torch.tensor([0.0, 0.5, math.nan, 0.75, 1.0] + [1.5] * 120 + [math.inf] * 120)
    margins = steps[torch.randint(len(steps), labels.shape, generator=torch.Generator().manual_seed(0))]
    table = PredictionTable(lattice, labels, margins)

    def test_entries_that_do_not_count_are_the_attackers(self) -> None:
        verdicts = MRCertCascade(margin=0.5).decide(self.table)
        assert decided(verdicts) == by_definition(self.lattice, self.labels, 2, self.margins > 0.5)
        twice = by_definition(self.lattice, self.labels, 2, self.margins > 1.0)
        assert verdicts.round_trip.tolist() == [certified >= 2 for _, _, certified, _ in twice]
        assert (verdicts.certified_patches >= 2).sum() > verdicts.round_trip.sum() > 0

        unconditional = MRCertCascade().decide(self.table)
        for field in ("label", "case", "witness", "level"):
            assert torch.equal(getattr(verdicts, field), getattr(unconditional, field))
        assert not (verdicts.safe_masks & ~unconditional.safe_masks).any()
        on_level_1 = unconditional.level == 1
        assert verdicts.certified[on_level_1].sum() < unconditional.certified[on_level_1].sum()

    def test_a_table_without_margins(self) -> None:
        with pytest.raises(ConfigurationError, match=r"margin 0\.5 needs a table with margins"):
            MRCertCascade(margin=0.5).decide(PredictionTable(self.lattice, self.labels))


class TestSettings:
    @pytest.mark.parametrize("patches", [0, -1, True, 2.0])
    def test_needs_a_patch(self, patches: int) -> None:
        with pytest.raises(ConfigurationError, match=f"at least one patch, not {patches}"):
            # Without the check of types, which refuses 2.0 first.
            inspect.unwrap(MRCertCascade.__init__)(object.__new__(MRCertCascade), patches)

    @pytest.mark.parametrize("margin", [-0.1, math.nan])
    def test_margin_is_a_number_from_zero(self, margin: float) -> None:
        with pytest.raises(ConfigurationError, match="margin of a certificate can't be negative"):
            MRCertCascade(margin=margin)

    def test_one_patch_has_no_round_trip(self) -> None:
        lattice = lattice_of("6 columns, masks of 2", 2)
        verdicts = MRCertCascade(1).decide(table_of(lattice, lambda union: 3))
        assert decided(verdicts) == [(3, 1, 1, [True] * 5)]
        assert not verdicts.round_trip.any()
        assert MRCertCascade(1).round_trip_note
        assert MRCertCascade(2).round_trip_note is None

    def test_refuses_a_table_with_a_gap(self) -> None:
        table = planted_table(lattice_of("6 columns, masks of 2", 4), images=3)
        table.labels[1, -1] = NOT_EVALUATED
        with pytest.raises(ConfigurationError, match="lacks 1 labels that MRCertCascade needs"):
            MRCertCascade().decide(table)


def test_without_a_witness_the_label_is_that_of_the_whole_image() -> None:
    lattice = lattice_of("6 columns, masks of 2", 2)
    labels = torch.arange(len(lattice))[None]
    verdicts = MRCertCascade(1).decide(PredictionTable(lattice, labels))
    assert (int(verdicts.label), int(verdicts.level), int(verdicts.witness)) == (0, 0, -1)
