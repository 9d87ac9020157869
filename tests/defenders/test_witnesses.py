"""The parts of MRCert's rules agree with sets and loops."""

from typing import Any

import pytest
import torch
from reference.defender_reference import largest_certified, sets_upto, stable
from reference.defender_tables import DEGENERATE, GRIDS, as_mappings, lattice_of, planted_labels
from torch import Tensor

from mrcert_pl.defenders import OutputLevel, witnesses
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

LATTICE = lattice_of("6 columns, masks of 2", 4)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("patches", [0, -1, 1.5, "2", True, None])
def test_a_number_of_patches_is_a_whole_number_from_one(patches: object) -> None:
    with pytest.raises(ConfigurationError, match=f"a whole number of patches, at least one patch, not {patches!r}"):
        witnesses.check_settings(patches, 0.0)


def test_a_number_of_patches_is_bounded() -> None:
    witnesses.check_settings(100, 0.0)
    for patches in (101, 10**30):
        with pytest.raises(ConfigurationError, match=f"a defender is for at most 100 patches, got {patches}"):
            witnesses.check_settings(patches, 0.0)


def test_a_margin_is_not_negative() -> None:
    witnesses.check_settings(3, 0.0)
    with pytest.raises(ConfigurationError, match="can't be negative"):
        witnesses.check_settings(3, -1.0)


@pytest.mark.parametrize("margin", ["0.1", None, True, [0.1]])
def test_a_margin_is_a_number(margin: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a number, got "):
        witnesses.check_settings(2, margin)


def test_a_whole_margin_is_a_float_as_it_is() -> None:
    witnesses.check_settings(2, 2**53)
    for margin in (2**53 + 1, 10**400):
        with pytest.raises(ConfigurationError, match=f"must be at most 2\\^53 as a whole number, got {margin}"):
            witnesses.check_settings(2, margin)


@pytest.mark.parametrize("with_margins", [False, True])
@pytest.mark.parametrize(("images_at_once", "sizes"), [(0, [1] * 7), (3, [3, 3, 1]), (7, [7]), (8, [7])])
def test_parts_of_a_table(
    images_at_once: int, sizes: list[int], with_margins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = planted_labels(LATTICE, 7, 3, seed=0)
    margins = draw(*labels.shape) if with_margins else None
    monkeypatch.setattr(witnesses, "_CHUNK", images_at_once * LATTICE.size(2) ** 2)
    parts = witnesses.in_parts(PredictionTable(LATTICE, labels, margins), 2)
    assert [len(part.labels) for part in parts] == sizes
    assert torch.equal(torch.cat([part.labels for part in parts]), labels)
    if margins is None:
        assert all(part.margins is None for part in parts)
    else:
        assert torch.equal(torch.cat([part.margins for part in parts if part.margins is not None]), margins)


def test_a_trusted_entry_is_evaluated_and_above_the_margin() -> None:
    labels = planted_labels(LATTICE, 20, 3, seed=0).where(draw(20, len(LATTICE)) < 0.7, NOT_EVALUATED)
    margins = (4 * draw(20, len(LATTICE), seed=1)).round() / 4
    table = PredictionTable(LATTICE, labels, margins)
    expected = [
        [label != NOT_EVALUATED and margin > 0.5 for label, margin in zip(*row, strict=True)]
        for row in zip(labels.tolist(), margins.tolist(), strict=True)
    ]
    assert witnesses.trusted(table, 0.5).tolist() == expected
    assert torch.equal(witnesses.trusted(PredictionTable(LATTICE, labels), 0.0), labels != NOT_EVALUATED)
    with pytest.raises(ConfigurationError, match=r"margin 0\.5 needs a table with margins"):
        witnesses.trusted(PredictionTable(LATTICE, labels), 0.5)


@pytest.mark.parametrize("grid", GRIDS | DEGENERATE)
@pytest.mark.parametrize("patches", [1, 2])
def test_witnesses_of_full_tables(grid: str, patches: int) -> None:
    lattice = lattice_of(grid, 2 * patches)
    labels = planted_labels(lattice, 30, 3, seed=patches)
    candidates = lattice.unions[: lattice.size(patches)]
    expected = [[stable(p, s, lattice.masks, patches) for s in candidates] for p in as_mappings(lattice, labels)]
    for optimistic in (False, True):
        assert witnesses.witnesses(labels, lattice.join(patches, patches), optimistic).tolist() == expected
    assert any(map(any, expected))


@pytest.mark.parametrize("patches", [1, 2])
def test_witnesses_of_partial_tables(patches: int) -> None:
    """Pessimistic: all labels are evaluated and equal. Optimistic: they are in some completion."""
    lattice = lattice_of("6 columns, masks of 2", 2 * patches)
    labels = planted_labels(lattice, 60, 3, seed=0)
    labels = labels.where(draw(*labels.shape) < torch.linspace(0, 1.5, 60)[:, None], NOT_EVALUATED)
    join = lattice.join(patches, patches)
    entries = [[{row[column] for column in columns} for columns in join.tolist()] for row in labels.tolist()]
    sure = [[len(s) == 1 and NOT_EVALUATED not in s for s in row] for row in entries]
    possible = [[len(s - {NOT_EVALUATED}) <= 1 for s in row] for row in entries]
    assert witnesses.witnesses(labels, join).tolist() == sure
    assert witnesses.witnesses(labels, join, optimistic=True).tolist() == possible
    assert 0 < sum(map(sum, sure)) < sum(map(sum, possible))


def test_certain_witnesses_use_trusted_entries_alone() -> None:
    labels = planted_labels(LATTICE, 60, 3, seed=0)
    trusted = draw(*labels.shape) < torch.linspace(0.5, 1.5, 60)[:, None]
    label, join = labels.mode(1).values, LATTICE.join(1, 2)
    expected = [
        [all(kept[column] and row[column] == one for column in columns) for columns in join.tolist()]
        for row, kept, one in zip(labels.tolist(), trusted.tolist(), label.tolist(), strict=True)
    ]
    found = witnesses.certain(trusted, labels, label, join)
    assert found.tolist() == expected
    assert 0 < found.sum() < found.numel()


@pytest.mark.parametrize("grid", GRIDS | DEGENERATE)
def test_locations_inside_found_sets(grid: str) -> None:
    lattice = lattice_of(grid, 4)
    unions = lattice.unions[: lattice.size(2)]
    found = draw(20, len(unions)) < torch.linspace(0, 0.3, 20)[:, None]
    expected = [
        [any(r & ~s == 0 for s, there in zip(unions, row, strict=True) if there) for r in unions]
        for row in found.tolist()
    ]
    assert witnesses.covered(found, lattice.containing(2)).tolist() == expected


@pytest.mark.parametrize("grid", GRIDS | DEGENERATE)
def test_what_is_forgeable(grid: str) -> None:
    """Definition 9 in sets, on labels and gaps of every density."""
    lattice = lattice_of(grid, 4)
    labels = planted_labels(lattice, 20, 4, seed=0)
    label = labels.mode(1).values
    counts = draw(20, len(lattice)) < torch.linspace(0.2, 2, 20)[:, None]
    hides, asked = lattice.containing(2), draw(20, lattice.size(2), seed=1) < 0.3
    inside = hides.tolist()
    for n in (1, 2):
        join = lattice.join(n, n)
        found, expected = witnesses.forgeable(counts, labels, label, join, hides, asked), torch.zeros_like(asked)
        for image, place in asked.nonzero().tolist():
            known, counting = labels[image].tolist(), counts[image].tolist()
            of_row = [[entry for entry in row if counting[entry] and inside[place][entry]] for row in join.tolist()]
            fixed = [{known[entry] for entry in row} for row in of_row]
            expected[image, place] = any(len(one) <= 1 and int(label[image]) not in one for one in fixed)
        assert torch.equal(found, expected)
        assert grid in DEGENERATE or 0 < expected.sum() < asked.sum()


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("output", [OutputLevel.CERTIFICATE, OutputLevel.ROUND_TRIP, OutputLevel.MAP])
def test_certificates_follow_from_safe_locations(output: OutputLevel, margin: float) -> None:
    """Random safe locations, fewer for twice the margin; most orders are safe as a whole."""
    orders, patches = LATTICE.orders[: LATTICE.size(3)], 3
    here = (draw(80, len(orders)) < 0.9) | (orders <= torch.arange(80)[:, None] % 5 - 1)
    twice = here & ((draw(80, len(orders), seed=1) < 0.9) | (orders <= torch.arange(80)[:, None] // 5 % 5 - 1))
    if margin == 0:
        twice = here

    def safe(threshold: float, most: int) -> Tensor:
        return {margin: here, 2 * margin: twice}[threshold][:, : LATTICE.size(most)]

    found = witnesses.certificates(safe, LATTICE, patches, margin, output)
    most = output.patches(patches)
    largest = [
        [
            largest_certified(dict(zip(LATTICE.unions, row, strict=False)).__getitem__, LATTICE.masks, most)
            for row in rows.tolist()
        ]
        for rows in (here, twice)
    ]
    assert found["certified_patches"].tolist() == largest[0]
    assert found["certified"].tolist() == [count >= 1 for count in largest[0]]
    assert found["round_trip"].tolist() == [count >= 2 for count in largest[1]]
    assert torch.equal(found["safe_masks"], here[:, 1 : LATTICE.size(1)])
    assert set(largest[0]) == set(range(-1, most + 1))
    assert len(sets_upto(LATTICE.masks, 3)) == len(orders)


def test_one_patch_and_no_margin_are_valid() -> None:
    witnesses.check_settings(1, 0.0)
