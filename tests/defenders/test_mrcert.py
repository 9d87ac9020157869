"""MRCert against the paper's definitions in loops, and every promise of its interface."""

import math
from collections.abc import Callable

import pytest
import torch
from reference.defender_reference import (
    general_certified,
    general_inference,
    general_round_trip,
    lemma_1,
    lemma_2,
    mrcert_certified,
    mrcert_inference,
    mrcert_round_trip,
    stable,
)
from reference.defender_tables import DEGENERATE, GRIDS, as_mappings, lattice_of, planted_table, rows_of, table_of

from mrcert_pl.defenders import MRCert, witnesses
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, covering_lattice
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

# All that the definitions allow together, as (case, certified, round trip): a certificate needs a witness of at most
# one mask, the round trip the empty one.
COMBINATIONS = {
    (1, True, True),
    (1, True, False),
    (1, False, False),
    (2, True, False),
    (2, False, False),
    (3, False, False),
    (4, False, False),
}


def decided(table: PredictionTable, patches: int = 2) -> list[tuple[int | bool, ...]]:
    return [row[:4] for row in rows_of(MRCert(patches).decide(table))]


def by_the_paper(table: PredictionTable) -> list[tuple[int | bool, ...]]:
    masks = table.mutants.masks
    return [
        (*mrcert_inference(p, masks), mrcert_certified(p, masks), mrcert_round_trip(p, masks))
        for p in as_mappings(table.mutants, table.labels)
    ]


def by_the_theorems(table: PredictionTable, patches: int) -> list[tuple[int | bool, ...]]:
    masks = table.mutants.masks
    return [
        (
            *general_inference(p, masks, patches),
            general_certified(p, masks, patches),
            general_round_trip(p, masks, patches),
        )
        for p in as_mappings(table.mutants, table.labels)
    ]


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("grid", GRIDS)
def test_two_patches_are_the_paper(grid: str, classes: int) -> None:
    table = planted_table(lattice_of(grid, 4), classes=classes, seed=classes)
    expected = by_the_paper(table)
    assert decided(table) == expected
    assert {row[1:] for row in expected} == COMBINATIONS


@pytest.mark.parametrize("grid", DEGENERATE)
def test_degenerate_masks(grid: str) -> None:
    table = planted_table(lattice_of(grid, 4))
    assert decided(table) == by_the_paper(table)


@pytest.mark.parametrize("patch_px", [16, 32])
def test_fourteen_columns(patch_px: int) -> None:
    table = planted_table(covering_lattice((1, 14), (224, 16), PatchSpec(patch_px), 4), images=100)
    expected = by_the_paper(table)
    assert decided(table) == expected
    assert {row[1:] for row in expected} == COMBINATIONS


@pytest.mark.parametrize(
    ("grid", "patches"),
    # The loops over tuples of six masks are for few masks only.
    [(grid, n) for grid, (masks, _) in (GRIDS | DEGENERATE).items() for n in (1, 2, 3) if len(masks) ** (2 * n) < 1e5],
)
def test_any_number_of_patches(grid: str, patches: int) -> None:
    lattice = lattice_of(grid, 2 * patches)
    table = planted_table(lattice, images=300)
    expected = by_the_theorems(table, patches)
    assert decided(table, patches) == expected
    if grid in GRIDS:
        # Hiding everything leaves nothing that a further mask could change.
        blind = (1 << lattice.windows) - 1 in lattice.unions[: lattice.size(patches)]
        assert {case for _, case, _, _ in expected} == set(range(1, patches + (2 if blind else 3)))
        assert {certified for _, _, certified, _ in expected} == {True, False}
        assert {round_trip for *_, round_trip in expected} == ({True, False} if patches > 1 else {False})


@pytest.mark.parametrize("grid", GRIDS)
def test_the_general_rules_contain_the_paper(grid: str) -> None:
    table = planted_table(lattice_of(grid, 4), seed=1)
    assert by_the_theorems(table, 2) == by_the_paper(table)


@pytest.mark.parametrize("patches", [1, 2])
@pytest.mark.parametrize("grid", GRIDS)
def test_witness(grid: str, patches: int) -> None:
    lattice = lattice_of(grid, 2 * patches)
    table = planted_table(lattice, images=200)
    verdicts = rows_of(MRCert(patches).decide(table))
    small = lattice.unions[: lattice.size(patches)]
    for p, (label, case, _, _, witness) in zip(as_mappings(lattice, table.labels), verdicts, strict=True):
        witnesses = [column for column, union in enumerate(small) if stable(p, union, lattice.masks, patches)]
        assert {p[lattice.unions[column]] for column in witnesses} <= {label}  # Claim 1
        assert witness == (witnesses[0] if witnesses else -1)
        assert case == (int(lattice.orders[witness]) + 1 if witnesses else patches + 2)


class TestKnownAnswers:
    """Six columns c0 to c5, masks of two neighbours. Rows are (label, case, certified, round trip, witness)."""

    lattice = lattice_of("6 columns, masks of 2", 4)
    c01, c12, c23, c34, c45 = lattice.masks

    def verdict(self, label: Callable[[int], int]) -> tuple[int | bool, ...]:
        return rows_of(MRCert().decide(table_of(self.lattice, label)))[0]

    def order(self, union: int) -> int:
        return int(self.lattice.orders[self.lattice.index(union)])

    def test_one_label(self) -> None:
        assert self.verdict(lambda union: 7) == (7, 1, True, True, 0)

    def test_patch_under_one_mask_is_recovered(self) -> None:
        """An earlier patch in c2 and c3 rules the label unless both are hidden: Lemma 2 without Lemma 1."""
        p = {union: int(union & self.c23 == self.c23) for union in self.lattice.unions}
        assert lemma_2(p, self.lattice.masks)
        assert not lemma_1(p, self.lattice.masks)
        assert self.verdict(p.__getitem__) == (1, 2, True, False, self.lattice.index(self.c23))

    def test_lemma_1_without_round_trip(self) -> None:
        """All mutants of three masks agree and those of four do not, which takes more than six columns."""
        lattice = lattice_of("9 columns, masks of 3, stride 2", 4)
        table = table_of(lattice, lambda union: int(lattice.orders[lattice.index(union)]) // 4)
        assert rows_of(MRCert().decide(table)) == [(0, 1, True, False, 0)]

    def test_case_1_without_certificate(self) -> None:
        assert self.verdict(lambda union: int(self.order(union) > 2)) == (0, 1, False, False, 0)

    def test_two_patches_are_recovered_by_case_3_only(self) -> None:
        both = self.c01 | self.c45
        expected = (1, 3, False, False, self.lattice.index(both))
        assert self.verdict(lambda union: int(union & both == both)) == expected

    def test_no_witness_leaves_the_label_of_the_unmasked_image(self) -> None:
        assert self.verdict(lambda union: 5 + self.order(union) % 2) == (5, 4, False, False, -1)


def test_one_patch_has_no_round_trip() -> None:
    lattice = lattice_of("6 columns, masks of 2", 2)
    one_label = table_of(lattice, lambda union: 3)
    assert decided(one_label, patches=1) == [(3, 1, True, False)]
    assert MRCert(1).round_trip_note
    assert MRCert(2).round_trip_note is None


@pytest.mark.parametrize("patches", [1, 2])
def test_higher_orders_play_no_part(patches: int) -> None:
    low = planted_table(lattice_of("6 columns, masks of 2", 2 * patches), images=200)
    lattice = lattice_of("6 columns, masks of 2", 2 * patches + 1)
    labels = torch.full((200, len(lattice)), NOT_EVALUATED)
    labels[:, : len(low.mutants)] = low.labels
    defender, high = MRCert(patches), PredictionTable(lattice, labels)
    assert not defender.next_queries(high).any()
    assert rows_of(defender.decide(high)) == rows_of(defender.decide(low))


class TestBatches:
    table = planted_table(lattice_of("6 columns, masks of 2", 4), images=60)

    def test_rows_are_independent(self) -> None:
        alone = [PredictionTable(self.table.mutants, row[None]) for row in self.table.labels]
        together = rows_of(MRCert().decide(self.table))
        assert [rows_of(MRCert().decide(one))[0] for one in alone] == together

    @pytest.mark.parametrize("rows_at_once", [0, 1, 7, 59, 60, 61])
    def test_chunks_do_not_show(self, rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = rows_of(MRCert().decide(self.table))
        parts: list[int] = []
        decide_part = MRCert.decide_part
        monkeypatch.setattr(witnesses, "_CHUNK", rows_at_once * self.table.mutants.size(2) ** 2)
        monkeypatch.setattr(
            MRCert, "decide_part", lambda *args: parts.append(len(args[1].labels)) or decide_part(*args)
        )
        assert rows_of(MRCert().decide(self.table)) == expected
        assert sum(parts) == 60
        assert len(parts) == math.ceil(60 / max(rows_at_once, 1))

    @pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
    def test_any_integers_do(self, dtype: torch.dtype) -> None:
        table = PredictionTable(self.table.mutants, self.table.labels.to(dtype))
        verdicts = MRCert().decide(table)
        assert verdicts.label.dtype == verdicts.case.dtype == verdicts.witness.dtype == torch.long
        assert verdicts.certified.dtype == verdicts.round_trip.dtype == torch.bool
        assert rows_of(verdicts) == rows_of(MRCert().decide(self.table))

    def test_no_images(self) -> None:
        verdicts = MRCert().decide(PredictionTable.empty(self.table.mutants, 0))
        assert len(verdicts) == 0
        assert rows_of(verdicts) == []


class TestQueries:
    @pytest.mark.parametrize("patches", [1, 2, 3])
    def test_asks_for_what_is_missing_up_to_its_order(self, patches: int) -> None:
        lattice = lattice_of("3x4 windows, masks of 1x2", 6)
        labels = planted_table(lattice, images=5).labels
        missing = torch.rand(labels.shape, generator=torch.Generator().manual_seed(0)) < 0.3
        missing[0], missing[1] = True, False
        table = PredictionTable(lattice, labels.where(~missing, NOT_EVALUATED))
        queries = MRCert(patches).next_queries(table)
        needed = lattice.orders <= 2 * patches
        assert queries.dtype == torch.bool
        assert torch.equal(queries, missing & needed)
        assert needed.sum() == lattice.size(2 * patches)

        answered = PredictionTable(lattice, labels.where(queries | ~missing, NOT_EVALUATED))
        assert not MRCert(patches).next_queries(answered).any()
        assert len(MRCert(patches).decide(answered)) == 5

    def test_refuses_a_table_with_a_gap(self) -> None:
        table = planted_table(lattice_of("6 columns, masks of 2", 4), images=3)
        table.labels[1, -1] = NOT_EVALUATED
        table.labels[2, 0] = NOT_EVALUATED
        with pytest.raises(ConfigurationError, match="lacks 2 labels that MRCert needs"):
            MRCert().decide(table)

    @pytest.mark.parametrize("patches", [2, 3])
    def test_refuses_unions_of_too_few_masks(self, patches: int) -> None:
        table = planted_table(lattice_of("6 columns, masks of 2", 2 * patches - 1), images=3)
        with pytest.raises(ConfigurationError, match=f"up to {2 * patches} masks; the table has them up to"):
            MRCert(patches).decide(table)


class TestSettings:
    @pytest.mark.parametrize("patches", [0, -1])
    def test_needs_a_patch(self, patches: int) -> None:
        with pytest.raises(ConfigurationError, match=f"at least one patch, not {patches}"):
            MRCert(patches)

    @pytest.mark.parametrize("certificate", ["papr", "Paper", ""])
    def test_unknown_certificate_lists_the_known(self, certificate: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"{certificate!r}; choose one of: .*\bpaper\b"):
            MRCert(certificate=certificate)  # type: ignore[arg-type]

    @pytest.mark.parametrize("margin", [-0.1, -math.inf, math.nan])
    def test_margin_is_a_number_from_zero(self, margin: float) -> None:
        with pytest.raises(ConfigurationError, match="margin of a certificate can't be negative"):
            MRCert(margin=margin)

    @pytest.mark.parametrize("patches", [1, 2, 3])
    def test_order(self, patches: int) -> None:
        assert MRCert(patches).order == 2 * patches
