"""Runs that differ in the seed alone are one row."""

import io
from dataclasses import replace
from pathlib import Path
from statistics import stdev

import pytest
from result_files import CONFIG, evaluation, row
from rich.console import Console

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import EvaluationResult, over_seeds
from mrcert_pl.views.terminal import show_results


def of_seed(folder: Path, seed: int, certified: int, **facts: object) -> EvaluationResult:
    rows = [row(key, certified=key < certified) for key in range(10)]
    weights = facts.pop("weights_sha256", f"{seed:064x}")
    return evaluation(folder / f"{seed}_{certified}", rows, seed=seed, weights_sha256=weights, **facts).result


def test_mean_and_spread(tmp_path: Path) -> None:
    results = [of_seed(tmp_path, seed, certified) for seed, certified in ((2, 9), (0, 5), (1, 7))]
    (result,) = over_seeds(
        [replace(one, gflops_per_image=gflops) for one, gflops in zip(results, (1, 2, 6), strict=True)]
    )
    assert (result.gflops_per_image, over_seeds(results)[0].gflops_per_image) == (3, None)
    assert result.seeds == (0, 1, 2)
    certified = result.accuracy["certified"]
    assert certified.counts == (5, 7, 9)
    assert certified.measured == pytest.approx(0.7)
    assert certified.spread == pytest.approx(stdev([0.5, 0.7, 0.9]))
    show_results([result], console := Console(width=100, file=io.StringIO()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "70.0 ± 20.0" in text
    assert "0, 1, 2" in text
    assert "mean ± standard deviation over seeds" in text
    assert "same weights" not in text


def test_another_configuration_is_another_row(tmp_path: Path) -> None:
    sharp = {**CONFIG, "defender": {"certificate": "sharp", "margin": 0.0}}
    elsewhere = {**CONFIG, "dataset": {**CONFIG["dataset"], "root": "elsewhere"}}  # type: ignore[dict-item]
    results = [
        of_seed(tmp_path, 0, 5),
        of_seed(tmp_path, 1, 6, config=sharp),
        of_seed(tmp_path, 2, 7, config=elsewhere),
    ]
    results.append(of_seed(tmp_path, 3, 8, patch=32))
    assert [result.seeds for result in over_seeds(results)] == [(0, 2), (1,), (3,)]


def test_a_single_seed_has_no_spread(tmp_path: Path) -> None:
    (result,) = over_seeds([of_seed(tmp_path, 0, 5)])
    assert result.accuracy["certified"].spread is None


def test_the_newest_of_the_same_weights_counts(tmp_path: Path) -> None:
    (result,) = over_seeds([of_seed(tmp_path, 0, 5), of_seed(tmp_path, 0, 6)])
    assert result.accuracy["certified"].counts == (6,)


def test_other_weights_with_the_same_seed_are_refused(tmp_path: Path) -> None:
    results = [of_seed(tmp_path, 0, 5), of_seed(tmp_path, 0, 6, weights_sha256="cd" * 32)]
    with pytest.raises(ResultsError, match="have seed 0 and different weights; evaluate each with the seed="):
        over_seeds(results)


def test_seeds_of_the_same_weights_are_told(tmp_path: Path) -> None:
    results = over_seeds([of_seed(tmp_path, seed, 5, weights_sha256="cd" * 32) for seed in (0, 1)])
    show_results(results, console := Console(width=100, file=io.StringIO()))
    assert "mrcert: some seeds have the same weights" in console.file.getvalue()  # type: ignore[attr-defined]
