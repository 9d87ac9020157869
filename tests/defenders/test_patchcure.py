"""Double masking against its definition in loops, and every promise of its interface."""

import pytest
import torch
from reference.defender_reference import patchcure_certified, patchcure_inference
from reference.defender_tables import DEGENERATE, GRIDS, as_mappings, lattice_of, planted_table, rows_of, table_of

from mrcert_pl.defenders import MRCert, PatchCURE
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

REFERENCES = ["original", "majority"]


def by_the_paper(table: PredictionTable, reference: str) -> list[tuple[int | bool, ...]]:
    masks = table.mutants.masks
    return [
        (*patchcure_inference(p, masks, reference), patchcure_certified(p, masks), False)
        for p in as_mappings(table.mutants, table.labels)
    ]


def lattices() -> dict[str, UnionLattice]:
    fourteen = {
        f"14 columns, {patch_px} px": covering_lattice((1, 14), (224, 16), PatchSpec(patch_px), 2)
        for patch_px in (16, 32)
    }
    return {grid: lattice_of(grid, 2) for grid in GRIDS} | fourteen


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("lattice", lattices().values(), ids=lattices())
def test_double_masking_is_the_papers(lattice: UnionLattice, classes: int, reference: str) -> None:
    table = planted_table(lattice, images=600, classes=classes, seed=classes)
    expected = by_the_paper(table, reference)
    assert [row[:4] for row in rows_of(PatchCURE(reference).decide(table))] == expected  # type: ignore[arg-type]
    # A majority of the labels with one mask is that label itself where they all agree: then Case 1 decides.
    certified_in_case_2 = {(2, True)} if reference == "original" else set()
    kinds = {(case, certified) for _, case, certified, _ in expected}
    assert kinds == {(1, True), (1, False), (2, False), (3, False)} | certified_in_case_2


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("grid", DEGENERATE)
def test_degenerate_masks(grid: str, reference: str) -> None:
    table = planted_table(lattice_of(grid, 2))
    decided = rows_of(PatchCURE(reference).decide(table))  # type: ignore[arg-type]
    assert [row[:4] for row in decided] == by_the_paper(table, reference)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("grid", GRIDS)
def test_witness(grid: str, reference: str) -> None:
    lattice = lattice_of(grid, 2)
    table = planted_table(lattice)
    verdicts = rows_of(PatchCURE(reference).decide(table))  # type: ignore[arg-type]
    for p, (label, case, _, _, witness) in zip(as_mappings(lattice, table.labels), verdicts, strict=True):
        if case == 1:
            assert witness == (0 if reference == "original" else -1)
            assert all(p[mask] == label for mask in lattice.masks)
        elif case == 2:
            assert lattice.orders[witness] == 1
            assert all(p[lattice.unions[witness] | mask] == label for mask in lattice.masks)
        else:
            assert witness == -1


class TestKnownAnswers:
    """Four masks of one window. Rows are (label, case, certified, round trip, witness)."""

    lattice = UnionLattice((0b0001, 0b0010, 0b0100, 0b1000), windows=4, order=2)

    def verdict(self, reference: str, unmasked: int, one: list[int], two: int | None = None) -> tuple[int | bool, ...]:
        """``two``: the label of all mutants of two masks; ``None`` gives them a label that nothing else has."""

        def label(union: int) -> int:
            masks = [mask for mask in self.lattice.masks if union & mask]
            if len(masks) == 1:
                return one[self.lattice.masks.index(union)]
            return unmasked if not masks else 9 if two is None else two

        return rows_of(PatchCURE(reference).decide(table_of(self.lattice, label)))[0]  # type: ignore[arg-type]

    @pytest.mark.parametrize(("reference", "witness"), [("original", 0), ("majority", -1)])
    def test_one_label(self, reference: str, witness: int) -> None:
        assert self.verdict(reference, 4, [4, 4, 4, 4], 4) == (4, 1, True, False, witness)

    def test_the_unmasked_image_may_disagree(self) -> None:
        assert self.verdict("majority", 0, [4, 4, 4, 4], 4) == (4, 1, True, False, -1)
        assert self.verdict("original", 0, [4, 4, 4, 4], 4) == (4, 2, True, False, 1)

    def test_agreement_on_one_mask_alone_is_not_certified(self) -> None:
        assert self.verdict("original", 4, [4, 4, 4, 4]) == (4, 1, False, False, 0)
        assert self.verdict("majority", 4, [4, 4, 4, 4]) == (4, 1, False, False, -1)

    def test_minority_mask_that_second_masks_leave_alone(self) -> None:
        assert self.verdict("original", 0, [0, 0, 2, 0], 2) == (2, 2, False, False, 3)
        assert self.verdict("majority", 0, [0, 0, 2, 0], 2) == (2, 2, False, False, 3)

    def test_disagreement_that_no_mask_settles(self) -> None:
        assert self.verdict("original", 0, [0, 0, 2, 0]) == (0, 3, False, False, -1)

    @pytest.mark.parametrize(
        ("one", "expected"),
        [
            ([2, 1, 1, 2], 1),
            ([3, 3, 0, 0], 0),
            ([5, 3, 1, 0], 0),
            ([2, 2, 1, 0], 2),
            ([0, 7, 7, 1], 7),
        ],
    )
    def test_ties_go_to_the_smallest_label(self, one: list[int], expected: int) -> None:
        assert self.verdict("majority", 8, one) == (expected, 3, False, False, -1)


def test_rows_are_independent() -> None:
    table = planted_table(lattice_of("6 columns, masks of 2", 2), images=60, classes=10)
    for reference in REFERENCES:
        defender = PatchCURE(reference)  # type: ignore[arg-type]
        alone = [rows_of(defender.decide(PredictionTable(table.mutants, row[None])))[0] for row in table.labels]
        assert alone == rows_of(defender.decide(table))


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("dtype", [torch.int16, torch.int32])
def test_any_integers_do(dtype: torch.dtype, reference: str) -> None:
    table = planted_table(lattice_of("6 columns, masks of 2", 2), classes=1000)
    defender = PatchCURE(reference)  # type: ignore[arg-type]
    verdicts = defender.decide(PredictionTable(table.mutants, table.labels.to(dtype)))
    assert verdicts.label.dtype == verdicts.case.dtype == verdicts.witness.dtype == torch.long
    assert verdicts.certified.dtype == verdicts.round_trip.dtype == torch.bool
    assert rows_of(verdicts) == rows_of(defender.decide(table))


@pytest.mark.parametrize("reference", REFERENCES)
def test_no_images(reference: str) -> None:
    table = PredictionTable.empty(lattice_of("6 columns, masks of 2", 2), 0)
    assert rows_of(PatchCURE(reference).decide(table)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("reference", REFERENCES)
def test_higher_orders_are_neither_asked_nor_used(reference: str) -> None:
    lattice = lattice_of("6 columns, masks of 2", 4)
    low = planted_table(lattice_of("6 columns, masks of 2", 2), images=50)
    labels = torch.full((50, len(lattice)), NOT_EVALUATED)
    defender = PatchCURE(reference)  # type: ignore[arg-type]
    queries = defender.next_queries(PredictionTable(lattice, labels))
    assert torch.equal(queries, (lattice.orders <= 2).expand(50, -1))
    labels[:, : len(low.mutants)] = low.labels
    high = PredictionTable(lattice, labels)
    assert not defender.next_queries(high).any()
    assert rows_of(defender.decide(high)) == rows_of(defender.decide(low))


def test_refuses_a_table_with_a_gap() -> None:
    table = planted_table(lattice_of("6 columns, masks of 2", 4), images=3)
    table.labels[1, table.mutants.size(2) - 1] = NOT_EVALUATED
    assert PatchCURE().next_queries(table).nonzero().tolist() == [[1, table.mutants.size(2) - 1]]
    with pytest.raises(ConfigurationError, match="lacks 1 labels that PatchCURE needs"):
        PatchCURE().decide(table)


def test_refuses_unions_of_one_mask() -> None:
    with pytest.raises(ConfigurationError, match="up to 2 masks; the table has them up to 1"):
        PatchCURE().decide(planted_table(lattice_of("6 columns, masks of 2", 1), images=3))


@pytest.mark.parametrize("reference", ["x", "Original", ""])
def test_unknown_reference_lists_the_known(reference: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{reference!r}; choose one of: majority, original"):
        PatchCURE(reference)  # type: ignore[arg-type]


def test_says_why_there_is_no_round_trip() -> None:
    assert PatchCURE().round_trip_note


@pytest.mark.parametrize("grid", [*GRIDS, *DEGENERATE])
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_the_papers_baseline_is_mrcert_for_one_patch(grid: str, margin: float) -> None:
    """Without a mask that is in others a witness has one of at most one mask, so the rules are the same."""
    planted = planted_table(lattice_of(grid, 2), images=600, classes=2)
    margins = torch.rand(planted.labels.shape)
    table = PredictionTable(planted.mutants, planted.labels, margins)
    baseline = PatchCURE(certificate="paper", margin=margin).decide(table)
    mrcert = MRCert(patches=1, margin=margin).decide(table)
    assert torch.equal(baseline.label, mrcert.label)
    assert torch.equal(baseline.certified, mrcert.certified)
    assert not baseline.round_trip.any()
    assert not mrcert.round_trip.any()
    assert 0 < baseline.certified.sum() < len(table.labels)


def test_the_papers_baseline_also_needs_the_unmasked_label() -> None:
    table = planted_table(lattice_of("6 columns, masks of 2", 2), images=600, classes=2)
    paper, sharp = (PatchCURE(certificate=name).decide(table) for name in ("paper", "sharp"))  # type: ignore[arg-type]
    assert torch.equal(paper.label, sharp.label)
    assert torch.equal(paper.certified, sharp.certified & (sharp.label == table.labels[:, 0]))
    assert (sharp.certified & ~paper.certified).any()


def test_margins_are_those_of_the_masked_images() -> None:
    lattice = lattice_of("6 columns, masks of 2", 2)
    labels = torch.zeros(3, len(lattice), dtype=torch.long)
    margins = torch.ones(labels.shape)
    margins[1, 0] = 0.4
    margins[2, 5] = 0.5
    table = PredictionTable(lattice, labels, margins)
    assert PatchCURE(margin=0.5).decide(table).certified.tolist() == [True, True, False]
    assert PatchCURE(certificate="paper", margin=0.5).decide(table).certified.tolist() == [True, False, False]
    assert PatchCURE(margin=0.49).decide(table).certified.all()
    with pytest.raises(ConfigurationError, match="needs a table with margins"):
        PatchCURE(margin=0.5).decide(PredictionTable(lattice, labels))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"certificate": "exact"}, "'exact'; choose one of: paper, sharp"),
        ({"certificate": "paper", "reference": "majority"}, "needs the reference 'original', not 'majority'"),
        ({"margin": -0.1}, "can't be negative"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PatchCURE(**settings)  # type: ignore[arg-type]
