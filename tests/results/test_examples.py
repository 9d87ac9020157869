"""Examples have the witness and the map of their verdict."""

import numpy as np
import torch
from result_files import row

from mrcert_pl.geometry import PatchSpec, covering_lattice, window_borders
from mrcert_pl.results.examples import patch_pixels, pixels_of, verdict_examples

PATCH = PatchSpec(2)
BORDERS = window_borders((1, 10), (4, 2))
LATTICE = covering_lattice((1, 10), (4, 2), PATCH, order=2)


def image_of(image_id: int) -> np.ndarray:
    return np.full((4, 20, 3), image_id / 10)


def test_witness_and_map() -> None:
    masks = len(LATTICE.masks)
    rows = [row(1, witness=1, safe_masks=(True,) * masks), row(2, safe_masks=(False,) * masks), row(3, prediction=0)]
    first, second, third = verdict_examples(rows, [1, 2, 3], image_of, BORDERS, LATTICE, PATCH)
    assert first.image[0, 0, 0] == 0.1
    assert first.hidden is not None
    windows = LATTICE.hidden[1].numpy()
    for column in range(10):
        assert (first.hidden[:, 2 * column : 2 * column + 2] == windows[column]).all()
    assert [safe.shape for safe in first.maps] == [(3, 19)]
    assert (first.maps[0].all(), second.maps[0].any()) == (True, False)
    assert (second.hidden, third.maps) == (None, ())


def test_an_alert_shows_the_mutant_that_raises_it() -> None:
    rows = [row(1, alert=2, detects=1), row(2, alert=-1, detects=1)]
    alert, silent = verdict_examples(rows, [1, 2], image_of, BORDERS, LATTICE, PATCH)
    assert alert.hidden is not None
    assert (alert.hidden[0, ::2] == LATTICE.hidden[2].numpy()).all()
    assert silent.hidden is None


def test_a_vote_has_neither() -> None:
    (example,) = verdict_examples([row(1, witness=1)], 5, image_of)
    assert (example.hidden, example.maps) == (None, ())


def test_pixels_of_a_placement() -> None:
    expected = np.zeros((4, 20), dtype=bool)
    expected[1:3, 2:5] = True
    np.testing.assert_array_equal(patch_pixels({"top": 1, "left": 2, "height": 2, "width": 3}, (4, 20)), expected)


def test_pixels_of_a_tensor() -> None:
    image = torch.tensor([[[-1.0, 0.5]], [[0.0, 2.0]], [[0.25, 1.0]]])
    assert pixels_of(image).tolist() == [[[0.0, 0.0, 0.25], [0.5, 1.0, 1.0]]]
