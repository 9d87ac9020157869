from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants import NOT_EVALUATED, PredictionTable
from mrcert_pl.mutants.table import rounded_down

LATTICE = UnionLattice([0b0001, 0b0010, 0b0100], windows=4, order=2)
MUTANTS = 7


def test_empty_table_has_no_labels():
    table = PredictionTable.empty(LATTICE, images=3)
    assert table.labels.shape == table.margins.shape == (3, MUTANTS)
    assert table.labels.dtype == torch.int32
    assert (table.labels == NOT_EVALUATED).all()
    assert table.margins.isnan().all()
    assert not table.evaluated.any()


def test_empty_table_of_no_images():
    assert PredictionTable.empty(LATTICE, images=0).labels.shape == (0, MUTANTS)


def test_evaluated_follows_the_labels():
    table = PredictionTable.empty(LATTICE, images=2)
    table.labels[0, 3] = 0
    table.labels[1, 6] = 999
    assert table.evaluated.nonzero().tolist() == [[0, 3], [1, 6]]


def test_rows_are_a_copy():
    table = PredictionTable.empty(LATTICE, images=3)
    table.labels[1] = 5
    for images in (torch.tensor([1, 0]), torch.tensor([True, True, False])):
        part = table.rows(images)
        assert part.mutants is LATTICE
        assert part.labels.tolist() == table.labels[images].tolist()
        assert part.margins.shape == part.labels.shape
        part.labels[:] = 7
    assert table.labels.unique().tolist() == [NOT_EVALUATED, 5]
    assert PredictionTable(LATTICE, table.labels).rows(torch.tensor([0])).margins is None


def test_entries_above_a_margin():
    margins = torch.tensor([[0.0, 0.5, 0.75, torch.nan, 2.0, 0.0, 0.0]])
    table = PredictionTable(LATTICE, torch.zeros(1, MUTANTS, dtype=torch.long), margins)
    assert table.above(0.5).nonzero()[:, 1].tolist() == [2, 4]
    assert table.above(0.0).all()
    bare = PredictionTable(LATTICE, table.labels)
    assert bare.above(0.0).all()
    with pytest.raises(ConfigurationError, match=r"margin 0\.5 needs a table with margins"):
        bare.above(0.5)


def test_margins_are_compared_in_double_precision():
    margins = torch.full((1, MUTANTS), 0.1)
    table = PredictionTable(LATTICE, torch.zeros(1, MUTANTS, dtype=torch.long), margins)
    assert float(margins[0, 0]) > 0.1
    assert table.above(0.1).all()
    assert not table.above(float(margins[0, 0])).any()


def test_confidences_of_labels_must_be_known():
    table = PredictionTable.empty(LATTICE, images=2)
    assert table.confidences("a rule").isnan().all()
    table.labels[:, 2] = 1
    table.log_odds[0, 2] = 0.1
    assert table.confidences("a rule", torch.tensor([0, 1])).shape == (2, 2)
    with pytest.raises(ConfigurationError, match="a rule needs confidences, and 1 labels of the table have none"):
        table.confidences("a rule")
    table.log_odds[1, 2] = 3.0
    odds = table.confidences("a rule", torch.tensor([2]))
    assert odds.dtype == torch.float64
    assert odds.tolist() == [[float(torch.tensor(0.1))], [3.0]]
    bare = PredictionTable(LATTICE, table.labels)
    assert bare.confidences("a rule", torch.tensor([0])).isnan().all()
    with pytest.raises(ConfigurationError, match="2 labels of the table have none"):
        bare.confidences("a rule")


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_labels_of_any_integer_type_do(dtype):
    table = PredictionTable(LATTICE, torch.zeros(2, MUTANTS, dtype=dtype))
    assert table.margins is None
    assert table.evaluated.all()


@pytest.mark.parametrize("shape", [(MUTANTS,), (2, MUTANTS - 1), (2, MUTANTS + 1), (1, 2, MUTANTS)])
def test_labels_of_another_shape_are_refused(shape):
    with pytest.raises(ConfigurationError, match=rf"with 7 mutants, not \[{', '.join(map(str, shape))}\]"):
        PredictionTable(LATTICE, torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool])
def test_labels_that_are_no_integers_are_refused(dtype):
    with pytest.raises(ConfigurationError, match=f"labels must be integers, not {dtype}"):
        PredictionTable(LATTICE, torch.zeros(2, MUTANTS, dtype=dtype))


@pytest.mark.parametrize("shape", [(2, 1), (1, MUTANTS), (MUTANTS,)])
def test_margins_of_another_shape_than_the_labels_are_refused(shape):
    with pytest.raises(ConfigurationError, match=r"margins must have the shape of the labels, \[2, 7\]"):
        PredictionTable(LATTICE, torch.zeros(2, MUTANTS, dtype=torch.long), torch.zeros(shape))


def test_table_keeps_its_tensors():
    table = PredictionTable.empty(LATTICE, images=1)
    with pytest.raises(FrozenInstanceError):
        table.labels = torch.zeros(1, MUTANTS, dtype=torch.long)


def test_margins_are_rounded_down_to_half_precision() -> None:
    margins = torch.cat([torch.rand(1000).pow(8) * 100, torch.tensor([0.0, 1e-9, 1.0, 7e4, torch.inf, torch.nan])])
    rounded = rounded_down(margins)
    assert torch.equal(rounded.half().float().nan_to_num(-1), rounded.nan_to_num(-1))
    assert rounded.isnan().tolist() == margins.isnan().tolist()
    known = ~margins.isnan()
    assert (rounded[known] <= margins[known]).all()
    finite = margins < 65504
    above = np.nextafter(rounded[finite].half().numpy(), np.float16(np.inf)).astype(np.float64)
    assert (above > margins[finite].double().numpy()).all()
    assert rounded[-6:-1].tolist() == [0.0, 0.0, 1.0, 65504.0, 65504.0]


def test_margins_in_double_precision_are_rounded_once() -> None:
    """Rounded to float32 first, they would be 1 and 65504."""
    margins = torch.tensor([1 - 2.0**-40, 65504 - 2.0**-20, 1.0, torch.nan], dtype=torch.float64)
    assert rounded_down(margins)[:3].tolist() == [1 - 2.0**-11, 65472.0, 1.0]
    assert rounded_down(margins)[3].isnan()
