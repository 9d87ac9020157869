"""A detector from the command line: training, evaluation, stored labels, verification, report, W&B."""

from collections.abc import Callable
from pathlib import Path

import pytest
from offline_run import finished_run
from tiny import TINY

from mrcert_pl.results import EvaluationResult, TrainingResult, read_verdicts

Command = Callable[..., None]

TRAIN = ["train", *TINY, "patch=32", "trainer=cpu", "dataset.limit=16", "recipe.batch_size=8", "trainer.max_epochs=1"]
EVAL = ["eval", *TINY, "patch=32", "trainer=cpu", "dataset.limit=6", "store=tables"]


def test_training_chooses_by_certified_detection(command: Command) -> None:
    command(*TRAIN, "callbacks.mutant_predictions.images=8", "defender=patchcensor")
    (file,) = Path("outputs/train").rglob("training.json")
    result = TrainingResult.read(file)
    assert result.monitor == "val/certified_accuracy"
    (log,) = file.parent.rglob("metrics.csv")
    header = log.read_text().splitlines()[0].split(",")
    assert {"val/certified_accuracy", "val/certified_ratio", "val/alerts", "val/clean_accuracy"} <= {*header}
    assert "val/round_trip_accuracy" not in header


def test_from_an_evaluation_to_its_report(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    untrained(*EVAL, "defender=hicert", "defender.threshold=0.1", "logger=wandb")
    untrained(*EVAL, "defender=patchcensor")
    shown = capsys.readouterr().out
    assert "has tables of 6 images" in shown
    results = {one.defender: one for one in map(EvaluationResult.read, Path("outputs/eval").rglob("results.json"))}
    assert set(results) == {"hicert", "patchcensor"}
    for result in results.values():
        # Fourteen columns and the image itself, of 32 px patches: twelve masks.
        assert result.mutants_per_image == 13
        assert {"certified_detection", "certified_ratio", "alerts"} <= {*result.accuracy}
        assert "certified" not in result.accuracy
    rows = [row for file in Path("outputs/eval").rglob("verdicts.parquet") for row in read_verdicts(file)]
    assert all(row.alert is not None and row.detects is not None and not row.certified for row in rows)
    # At another threshold, without the model.
    untrained("eval", *TINY, "patch=32", "table=tables", "defender=hicert", "defender.threshold=0.99")
    untrained("verify", "outputs/eval")
    assert capsys.readouterr().out.count("all values agree with the tables") == 3
    untrained("report", "outputs/eval", "--html", "report.html")
    shown = " ".join(capsys.readouterr().out.split())
    assert "defender clean detection ratio alerts mutants" in shown
    assert "round trip" not in shown
    page = Path("report.html").read_text()
    for words in ("detection", "alerts", "patchcensor", "hicert"):
        assert words in page
    (offline,) = Path("outputs/eval").rglob("offline-run-*/run-*.wandb")
    summary = finished_run(offline).summary
    assert {"test/certified_detection", "test/certified_ratio", "test/alerts"} <= {*summary}
