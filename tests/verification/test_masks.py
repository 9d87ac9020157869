"""The second implementation of the mask rules agrees with the defenders and with the loops of the reference."""

import numpy as np
import pytest
import torch
from agreement import arrays, assert_same
from reference.defender_reference import (
    cascade_inference,
    cascade_safe,
    general_certified,
    general_inference,
    general_round_trip,
    inside,
    largest_certified,
    patchcure_certified,
    patchcure_inference,
    sets_upto,
    sharp_safe,
)
from reference.defender_tables import as_mappings, planted_labels

from mrcert_pl.defenders import MRCert, MRCertCascade, PatchCURE, Undefended
from mrcert_pl.errors import ResultsError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_masks
from mrcert_pl.mutants.table import PredictionTable
from mrcert_pl.verification import masks as rules
from mrcert_pl.verification.masks import Unions, cascade, mrcert, mrcert_sharp, patchcure, patchcure_paper, undefended

GRIDS = {
    "6 columns": (covering_masks((1, 6), (32, 16), PatchSpec(16)), 6),
    "3x3 windows": (covering_masks((3, 3), (16, 16), PatchSpec(16)), 9),
    "several sizes": ((0b00000011, 0b00011100, 0b11000000, 0b01000001, 0b00100010), 8),
}


def layered(lattice: UnionLattice, images: int = 300) -> PredictionTable:
    """Labels by order or by the first masks that hide, with exceptions, so that every case and level occurs."""
    by_order = torch.randint(3, (images, lattice.order + 1))
    by_order[: images // 2] = torch.where(torch.rand(images // 2, lattice.order + 1) < 0.8, 1, by_order[: images // 2])
    labels = by_order[:, lattice.orders]
    hiding = lattice.containing(1)[torch.randint(lattice.size(1), (images,))]
    labels = torch.where(hiding & (torch.rand(images, 1) < 0.7), torch.randint(3, (images, 1)), labels)
    exceptions = torch.rand(images, len(lattice)) < torch.rand(images, 1) * 0.05
    labels = torch.where(exceptions, torch.randint(3, labels.shape), labels)
    return PredictionTable(lattice, labels, torch.rand(labels.shape).pow(0.05))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("margin", [0.0, 0.3])
@pytest.mark.parametrize("patches", [1, 2])
def test_mrcert_and_cascade(grid: str, margin: float, patches: int) -> None:
    masks, windows = GRIDS[grid]
    table = layered(UnionLattice(masks, windows, 2 * patches, allow_blind=True))
    labels, margins = arrays(table)
    seen = set()
    for certificate in ("paper", "sharp"):
        verdicts = MRCert(patches, certificate, margin).decide(table)  # type: ignore[arg-type]
        assert_same(verdicts, mrcert(table.mutants.identity(), labels, margins, patches, certificate, margin))
        seen |= set(verdicts.case.tolist())
    assert seen == set(range(1, patches + 3))
    verdicts = MRCertCascade(patches, margin).decide(table)
    assert_same(verdicts, cascade(table.mutants.identity(), labels, margins, patches, margin))
    assert len(set(verdicts.level.tolist())) == patches + 1
    assert 0 < verdicts.certified.float().mean() < 1


@pytest.mark.parametrize("grid", GRIDS)
def test_margins_at_the_bound_certify_nothing(grid: str) -> None:
    """Margins of exactly once or twice the margin of the certificates, beside larger ones."""
    masks, windows = GRIDS[grid]
    table = layered(UnionLattice(masks, windows, 4, allow_blind=True))
    rare = torch.rand(table.labels.shape) < torch.rand(len(table.labels), 1) * 0.02
    bounds = torch.tensor([0.25, 0.5])[torch.randint(2, table.labels.shape)]
    at_bounds = PredictionTable(table.mutants, table.labels, torch.where(rare, bounds, 0.75))
    labels, margins = arrays(at_bounds)
    mutants = table.mutants.identity()
    for certificate in ("paper", "sharp"):
        verdicts = MRCert(2, certificate, 0.25).decide(at_bounds)  # type: ignore[arg-type]
        assert_same(verdicts, mrcert(mutants, labels, margins, 2, certificate, 0.25))
        looser = mrcert(mutants, labels, np.nextafter(margins, 1), 2, certificate, 0.25)
        assert not np.array_equal(looser["certified_patches"], verdicts.certified_patches)
    assert_same(MRCertCascade(2, 0.25).decide(at_bounds), cascade(mutants, labels, margins, 2, 0.25))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_patchcure_and_undefended(grid: str, margin: float) -> None:
    masks, windows = GRIDS[grid]
    table = layered(UnionLattice(masks, windows, 2, allow_blind=True))
    mutants, (labels, margins) = table.mutants.identity(), arrays(table)
    for reference, certificate in (("original", "sharp"), ("original", "paper"), ("majority", "sharp")):
        verdicts = PatchCURE(reference, certificate, margin).decide(table)  # type: ignore[arg-type]
        assert_same(verdicts, patchcure(mutants, labels, margins, reference, certificate, margin))
        assert 0 < verdicts.certified.float().mean() < 1
        assert set(verdicts.case.tolist()) == {1, 2, 3}
    assert_same(Undefended().decide(table), undefended(mutants, labels, margins))


def test_unions_have_the_columns_of_the_lattice() -> None:
    for masks, windows in GRIDS.values():
        lattice, unions = UnionLattice(masks, windows, 4, allow_blind=True), Unions(masks, 4)
        assert tuple(unions.unions) == lattice.unions
        assert unions.sizes == [lattice.size(order) for order in range(5)]


def test_joins_and_inclusions_of_unions() -> None:
    for masks, _ in GRIDS.values():
        unions = Unions(masks, 3)
        sets = unions.unions
        join = unions.join(1, 2)
        assert join.shape == (unions.sizes[1], unions.sizes[2])
        assert all(sets[join[s, t]] == sets[s] | sets[t] for s in range(join.shape[0]) for t in range(join.shape[1]))
        found = unions.inside(1, 2)
        assert found.tolist() == [[inside(r, s) for s in sets[: unions.sizes[2]]] for r in sets[: unions.sizes[1]]]
        fewest = [min(k for k in range(4) if union in sets_upto(masks, k)) for union in sets]
        assert unions.order(torch.arange(len(sets)).numpy()).tolist() == fewest


SMALL = {
    "single": ((0b00001, 0b00010, 0b00100, 0b01000, 0b10000), 5),
    "nested": ((0b00001, 0b00011, 0b01100, 0b10000), 5),
}


@pytest.mark.parametrize("grid", SMALL)
@pytest.mark.parametrize("patches", [1, 2, 3])
def test_mrcert_is_the_rule_of_the_reference(grid: str, patches: int) -> None:
    masks, windows = SMALL[grid]
    lattice = UnionLattice(masks, windows, 2 * patches, allow_blind=True)
    labels = planted_labels(lattice, 60, 3, seed=patches)
    mutants, tables = lattice.identity(), as_mappings(lattice, labels)
    ones = torch.ones(labels.shape).numpy()

    paper = mrcert(mutants, labels.numpy(), ones, patches)
    assert list(zip(paper["prediction"].tolist(), paper["case"].tolist(), strict=True)) == [
        general_inference(p, masks, patches) for p in tables
    ]
    assert paper["certified"].tolist() == [general_certified(p, masks, patches) for p in tables]
    assert paper["round_trip"].tolist() == [general_round_trip(p, masks, patches) for p in tables]

    sharp = mrcert_sharp(mutants, labels.numpy(), ones, patches)
    safe = [{r: sharp_safe(p, masks, patches, r) for r in sets_upto(masks, patches)} for p in tables]
    assert sharp["safe_masks"].tolist() == [[one[mask] for mask in masks] for one in safe]
    largest = [largest_certified(one.__getitem__, masks, patches) for one in safe]
    assert sharp["certified_patches"].tolist() == largest
    assert sharp["certified"].tolist() == [count >= 1 for count in largest]
    assert sharp["round_trip"].tolist() == [count >= 2 for count in largest]
    # Three masks of the second grid hide everything, so that all images have a witness.
    assert patches == 3 or len(set(largest)) > 1


@pytest.mark.parametrize("grid", SMALL)
@pytest.mark.parametrize("patches", [1, 2, 3])
def test_the_cascade_is_the_rule_of_the_reference(grid: str, patches: int) -> None:
    masks, windows = SMALL[grid]
    lattice = UnionLattice(masks, windows, 2 * patches, allow_blind=True)
    labels = planted_labels(lattice, 60, 3, seed=patches)
    margins = torch.rand(labels.shape).pow(0.05)
    answers = cascade(lattice.identity(), labels.numpy(), margins.numpy(), patches, margin=0.3)
    for image, p in enumerate(as_mappings(lattice, labels)):
        above = dict(zip(lattice.unions, (margins[image] > 0.3).tolist(), strict=True))
        safe = {r: cascade_safe(p, masks, patches, r, above.__getitem__) for r in sets_upto(masks, patches)}
        assert (answers["prediction"][image], answers["level"][image]) == cascade_inference(p, masks, patches)
        assert answers["safe_masks"][image].tolist() == [safe[mask] for mask in masks]
        assert answers["certified_patches"][image] == largest_certified(safe.__getitem__, masks, patches)


@pytest.mark.parametrize("grid", SMALL)
@pytest.mark.parametrize("reference", ["original", "majority"])
def test_patchcure_is_the_rule_of_the_reference(grid: str, reference: str) -> None:
    masks, windows = SMALL[grid]
    lattice = UnionLattice(masks, windows, 2, allow_blind=True)
    labels = planted_labels(lattice, 200, 3, seed=0)
    tables, ones = as_mappings(lattice, labels), torch.ones(labels.shape).numpy()
    answers = patchcure(lattice.identity(), labels.numpy(), ones, reference)
    assert list(zip(answers["prediction"].tolist(), answers["case"].tolist(), strict=True)) == [
        patchcure_inference(p, masks, reference) for p in tables
    ]
    assert answers["certified"].tolist() == [patchcure_certified(p, masks) for p in tables]
    strict = patchcure_paper(lattice.identity(), labels.numpy(), ones, reference)
    assert strict["certified"].tolist() == [len(set(p.values())) == 1 for p in tables]


def test_stated_orders_and_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    lattice = UnionLattice(*SMALL["single"], 2, allow_blind=True)
    given = (lattice.identity(), torch.zeros(1, len(lattice), dtype=torch.long).numpy(), torch.ones(1, len(lattice)))
    for order in (-1, 65):
        with pytest.raises(ResultsError, match=f"unions of {order} masks are stated; at most 64 are compared"):
            Unions((1, 2), order)
    with pytest.raises(ResultsError, match="unknown certificate 'none'; the second implementation has paper, sharp"):
        mrcert(*given, patches=1, certificate="none")
    with pytest.raises(ResultsError, match="unknown certificate 'none'"):
        patchcure(*given, certificate="none")
    with pytest.raises(ResultsError, match=r"unknown reference 'none'; .* original, majority"):
        patchcure(*given, reference="none")
    monkeypatch.setattr(rules, "_MOST_UNIONS", 20)
    with pytest.raises(ResultsError, match="8 masks have more than 20 unions of order 3"):
        Unions([1 << window for window in range(8)], 3)


def test_undefended_answers_do_not_depend_on_the_label() -> None:
    answers = undefended({}, np.array([[2], [0]]), np.ones((2, 1)))
    assert {name: values.tolist() for name, values in answers.items()} == {
        "prediction": [2, 0],
        "case": [1, 1],
        "witness": [-1, -1],
        "certified": [False, False],
        "round_trip": [False, False],
        "certified_patches": [0, 0],
        "level": [0, 0],
    }


@pytest.mark.parametrize(("low", "certified"), [(0, True), (1, False), (2, False)])
def test_patchcure_needs_the_margins_of_all_masked_entries(low: int, certified: bool) -> None:
    lattice = UnionLattice((0b0011, 0b0110, 0b1100), 4, 2, allow_blind=True)
    labels, margins = np.ones((1, len(lattice)), dtype=int), np.ones((1, len(lattice)))
    margins[0, low] = 0.25
    answers = patchcure(lattice.identity(), labels, margins, margin=0.5)
    assert answers["certified"].tolist() == [certified]
