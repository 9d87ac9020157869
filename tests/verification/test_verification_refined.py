"""The second implementation of refined unions, against the first on random tables, and claims that it contradicts."""

import numpy as np
import pytest
import torch

from mrcert_pl.errors import ResultsError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.geometry.refined import RefinedUnions
from mrcert_pl.mutants.refinement import refined
from mrcert_pl.mutants.table import PredictionTable, rounded_down
from mrcert_pl.verification.refined import RefinedColumns, refined_columns, resolve


def levels(order: int, *strides: int) -> list[UnionLattice]:
    return [covering_lattice((6, 6), (4, 4), PatchSpec(5), order, stride) for stride in strides]


@pytest.mark.parametrize(("order", "strides"), [(1, (4, 2, 1)), (2, (4, 2)), (2, (2, 1))])
def test_columns_and_closures_agree(order: int, strides: tuple[int, ...]) -> None:
    lattices = levels(order, *strides)
    mutants, columns = RefinedUnions(lattices, 0.5), RefinedColumns([lattice.masks for lattice in lattices], order)
    assert columns.columns == len(mutants)
    assert (columns.path == mutants.path.numpy()).all()
    assert (columns.coarsest == mutants.coarsest.numpy()).all()


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_labels_margins_and_confidences_agree(margin: float) -> None:
    lattices = levels(2, 4, 2) if margin == 0 else levels(1, 4, 2, 1)
    mutants = RefinedUnions(lattices, 0.6)
    columns = RefinedColumns([lattice.masks for lattice in lattices], lattices[0].order)
    shape = (30, len(mutants))
    labels = torch.where(torch.rand(shape) < 0.2, -1, torch.randint(3, shape))
    margins = rounded_down(torch.rand(shape) * 2)
    odds = torch.randn(shape)
    first = refined(PredictionTable(mutants, labels, margins, odds), margin)
    second = resolve(columns, 0.6, margin, labels.numpy(), margins.double().numpy(), odds.double().numpy())
    assert first.margins is not None
    assert first.log_odds is not None
    assert (first.labels.numpy() == second[0]).all()
    assert np.array_equal(first.margins.double().numpy(), second[1], equal_nan=True)
    assert np.array_equal(first.log_odds.double().numpy(), second[2], equal_nan=True)
    assert 0.1 < first.evaluated.float().mean() < 0.9


def test_levels_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcert_pl.verification.refined._MOST_PAIRS", 100)
    with pytest.raises(ResultsError, match="pairs of unions"):
        RefinedColumns([lattice.masks for lattice in levels(1, 4, 2, 1)], 1)


def test_masks_that_do_not_nest() -> None:
    with pytest.raises(ResultsError, match="do not lie inside each other"):
        RefinedColumns([(0b0011,), (0b0110,)], 1)


@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_a_confidence_at_the_threshold_settles(margin: float) -> None:
    """One window hidden, inside two: settled at the threshold, and complete at twice the margin above it."""
    columns = RefinedColumns([(0b011, 0b110), (0b001, 0b010, 0b100)], 1)
    at = 2 * margin
    odds = np.full((1, columns.columns), at)
    labels = np.where(columns.coarsest, 1, -1)[None]
    found, _, _ = resolve(columns, 0.5, margin, labels, np.ones_like(odds), odds)
    assert (found == 1).all()
    found, _, _ = resolve(columns, 0.5, margin, labels, np.ones_like(odds), np.nextafter(odds, -1))
    # The empty union is of both levels; all others wait for their own label.
    assert (found[:, 1:] == -1).all()


def test_what_lifts_a_closure_is_rounded_down() -> None:
    """A confidence half below the threshold, whose rounding may have hidden a little of the distance."""
    columns = RefinedColumns([(0b011, 0b110), (0b001, 0b010, 0b100)], 1)
    odds = np.full((1, columns.columns), -0.5)
    labels = np.where(columns.coarsest, 1, 2)[None]
    found, least, _ = resolve(columns, 0.5, 0.0, labels, np.full_like(odds, 3.0), odds)
    assert found.tolist() == [[1, 2, 2, 2]]
    assert (least[0, 1:] == np.nextafter(np.float16(0.5), np.float16(0))).all()


def test_masks_of_a_header_are_hexadecimal() -> None:
    lattices = levels(1, 4, 2)
    header = {"coarser": [[f"{m:x}" for m in lattices[0].masks]], "masks": [f"{m:x}" for m in lattices[1].masks]}
    assert max(map(len, header["masks"])) > 1
    assert (refined_columns(header, 1).path == RefinedColumns([each.masks for each in lattices], 1).path).all()
