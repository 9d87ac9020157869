"""Thresholds on validation images: each as if it had been evaluated alone, none on a test image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_model import Columns

from mrcert_pl import DatasetSettings, RunSettings, ThresholdSettings, compare_thresholds
from mrcert_pl.data import ImageDataModule
from mrcert_pl.defenders import build
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError, DataError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.metrics import accuracy_of
from mrcert_pl.mutants import MutantEvaluator
from mrcert_pl.results import Accuracy, ThresholdResult, ThresholdRow

Run = Callable[..., RunSettings]
PATCH, STRIDE, COARSER, IMAGES = "8x5", 2, (4,), 7
THRESHOLDS = (0.9, 0.3, 0.6)


def settings(run: RunSettings, model: Columns, defender: Any, **more: Any) -> ThresholdSettings:
    given = {"model": model, "dataset": DatasetSettings(limit=IMAGES), "patch": PATCH, "stride": STRIDE}
    given |= {"thresholds": THRESHOLDS, "batch_size": 3, "device": "cpu", "run": run, "defender": defender}
    return ThresholdSettings(**{**given, **more})


@pytest.mark.parametrize("name", ["patchcure", "mrcert_cascade", "hicert", "patchguardpp"])
def test_every_row_is_an_evaluation_of_its_own(name: str, run: Run, decisive: Columns) -> None:
    inner = build(name)
    defender: Any = inner if name in ("hicert", "patchguardpp") else Refined(inner, COARSER)
    result = compare_thresholds(settings(run("all"), decisive, defender))
    data = ImageDataModule("digits", image_px=decisive.image_px, limit=IMAGES, seed=0).split("val")
    images, labels = (torch.stack([torch.as_tensor(getattr(s, part)) for s in data]) for part in ("image", "label"))
    assert [row.threshold for row in result.rows] == list(THRESHOLDS)
    for row in result.rows:
        alone = defender.with_threshold(row.threshold).with_output("map")
        mutants = alone.mutants(decisive, PatchSpec(PATCH), STRIDE)
        table = MutantEvaluator(decisive, mutants).evaluate(images, alone)
        metric = accuracy_of(alone)
        metric.update(alone.decide(table), labels, base=table.labels[:, 0])
        counts = metric.counts()
        assert {key: accuracy.count for key, accuracy in row.accuracy.items()} == {
            key: count for key, count in counts.items() if key != "n"
        }
        assert row.mutants_per_image == pytest.approx(float(table.evaluated.sum(1).float().mean()), abs=0.005)
    assert len({row.mutants_per_image for row in result.rows} | {str(row.accuracy) for row in result.rows}) > 1
    assert ThresholdResult.read(run("all").folder / "thresholds.json") == result


def test_no_test_image_is_opened(run: Run, decisive: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    split = ImageDataModule.split
    monkeypatch.setattr(ImageDataModule, "split", lambda self, name: (asked.append(name), split(self, name))[1])
    compare_thresholds(settings(run("only"), decisive, build("hicert")))
    assert asked == ["val"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"defender": "mrcert"}, "mrcert has no threshold; give refine="),
        ({"thresholds": []}, "a list of different numbers"),
        ({"thresholds": [0.5, 0.5]}, "a list of different numbers"),
        ({"thresholds": [1.5]}, "from 0 to 1, got 1.5"),
        ({"defender": Refined(build("patchcure"), COARSER), "thresholds": [0]}, "between 0 and 1, got 0"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_bad_settings(run: Run, decisive: Columns, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        compare_thresholds(settings(run("bad"), decisive, **{"defender": "hicert", **changed}))


def test_the_refinement_stands_in_the_result(run: Run, decisive: Columns) -> None:
    result = compare_thresholds(settings(run("stated"), decisive, Refined(build("patchcure"), COARSER, limit=7)))
    assert {name: result.config[name] for name in ("refine", "refine_limit")} == {"refine": [4], "refine_limit": 7}
    assert "refine_threshold" not in result.config


def test_a_data_set_without_validation_images(run: Run, decisive: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageDataModule, "_members", lambda self, split: [])
    with pytest.raises(DataError, match="digits has no validation images"):
        compare_thresholds(settings(run("none"), decisive, build("hicert")))


def row(threshold: float, round_trip: int, certified: int, mutants: float) -> ThresholdRow:
    counts = {"round_trip": round_trip, "certified": certified}
    return ThresholdRow(threshold, {name: Accuracy(count, 9) for name, count in counts.items()}, mutants)


def test_the_best_row(run: Run, decisive: Columns) -> None:
    result = compare_thresholds(settings(run("detector"), decisive, "hicert"))
    assert result.best is None
    rows = (row(0.3, 4, 6, 50.0), row(0.5, 5, 5, 60.0), row(0.6, 5, 5, 55.0), row(0.7, 5, 4, 10.0))
    facts = {name: getattr(result, name) for name in ("dataset", "model", "patch", "seed", "environment")}
    best = ThresholdResult(**facts, weights_sha256="0", defender="x", n=9, rows=rows).best
    assert best == rows[2]
    assert Path(run("detector").folder / "thresholds.json").is_file()
