"""Rows say what table and verdicts say; counts by location against counting by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from result_files import row

from mrcert_pl.defenders import MRCert, Undefended
from mrcert_pl.geometry import PatchSpec, covering_lattice, location_maps, window_borders
from mrcert_pl.mutants import PredictionTable
from mrcert_pl.results.rows import count_locations, verdict_rows

PATCH = PatchSpec(2)
BORDERS = window_borders((1, 10), (4, 2))


class Model:
    borders = BORDERS


class Costs:
    def per_image(self, evaluated: Any) -> torch.Tensor:
        return 2e9 * evaluated.sum(1).double()


@pytest.fixture
def table() -> PredictionTable[Any]:
    """Two images on ten columns of 2 px: every mutant of the first has label 1, those of the second differ."""
    lattice = covering_lattice((1, 10), (4, 2), PATCH, order=4)
    labels = torch.ones(2, len(lattice), dtype=torch.int64)
    labels[1] = torch.arange(len(lattice)) % 3
    return PredictionTable(lattice, labels, torch.ones(labels.shape))


def test_rows_are_the_verdicts(table: PredictionTable[Any]) -> None:
    verdicts = MRCert(certificate="sharp").decide(table)
    rows = verdict_rows([7, 9], ["a", "b"], [1, 1], table, verdicts, Model(), PATCH, Costs())
    assert [(each.id, each.path, each.label) for each in rows] == [(7, "a", 1), (9, "b", 1)]
    assert verdicts.certified is not None
    assert verdicts.safe_masks is not None
    for number, each in enumerate(rows):
        assert each.prediction == int(verdicts.label[number])
        assert each.certified == bool(verdicts.certified[number])
        assert each.safe_masks == tuple(verdicts.safe_masks[number].tolist())
        assert each.mutants_evaluated == table.labels.shape[1]
        assert each.gflops == 2.0 * table.labels.shape[1]
    assert rows[0].correct_and_round_trip
    assert (rows[0].certified_fraction, rows[0].base_prediction) == (1.0, 1)


def test_columns_that_a_defender_lacks_are_none(table: PredictionTable[Any]) -> None:
    (first, _) = verdict_rows([7, 9], ["a", "b"], [1, 1], table, Undefended().decide(table), Model())
    assert (first.gflops, first.safe_masks, first.certified_fraction) == (None, None, None)


@pytest.mark.parametrize("number", [3, 600])
def test_locations_are_counted_over_correct_images(table: PredictionTable[Any], number: int) -> None:
    masks = table.mutants.masks
    draws = np.random.default_rng(0)
    rows = [
        row(i, prediction=int(draws.random() < 0.7), safe_masks=tuple((draws.random(len(masks)) < 0.5).tolist()))
        for i in range(number)
    ]
    found = count_locations(rows, masks, BORDERS, PATCH)
    assert found is not None
    assert (found.n, found.image_px) == (number, (4, 20))
    expected = np.zeros(found.counts[0].shape, dtype=int)
    for each in rows:
        safe: Any = torch.tensor([each.safe_masks])
        expected += each.correct * location_maps(safe, masks, BORDERS, PATCH)[0][0].numpy()
    np.testing.assert_array_equal(found.counts[0], expected)


def test_without_safe_masks_there_is_no_map(table: PredictionTable[Any]) -> None:
    assert count_locations([row(0)], table.mutants.masks, BORDERS, PATCH) is None


def test_without_a_correct_image_the_map_is_zero(table: PredictionTable[Any]) -> None:
    masks = table.mutants.masks
    found = count_locations([row(0, prediction=0, safe_masks=(True,) * len(masks))], masks, BORDERS, PATCH)
    assert found is not None
    assert not found.counts[0].any()
