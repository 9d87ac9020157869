"""What runs show of typed results, read back from their offline files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offline_run import OfflineRun, only_run
from result_files import ENVIRONMENT, result_of, row

from mrcert_pl.results import (
    Accuracy,
    AttackResult,
    AttackTally,
    CertificateAuditResult,
    Locations,
    LogitDifference,
    NumericsResult,
    ThresholdResult,
    ThresholdRow,
    TrainingResult,
)
from mrcert_pl.results.examples import AttackExample, Example
from mrcert_pl.views.wandb import (
    Artifact,
    Artifacts,
    WandbRun,
    log_attack,
    log_audit,
    log_evaluation,
    log_overview,
    log_thresholds,
    log_training,
    run_closed,
)

SUBJECT: Any = {"dataset": "digits", "model": "vit_srf", "patch": 16, "seed": 0, "environment": ENVIRONMENT}
LINEAGE = Artifacts(used=(Artifact("dataset", "digits-test"),), made=(Artifact("results", "eval"),))
CLASSES = ["cat", "dog"]


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OfflineRun]:
    """The run that a function has logged to."""
    monkeypatch.setenv("WANDB_SILENT", "true")

    def log(function: Callable[..., None], *arguments: Any) -> OfflineRun:
        with run_closed():
            function(WandbRun.opened("tests", None, tmp_path), *arguments)
        return only_run(tmp_path)

    return log


def test_a_training(logged: Callable[..., OfflineRun]) -> None:
    result = TrainingResult(**SUBJECT, checkpoint="best.ckpt", monitor="val/certified_accuracy", best_score=0.75)
    run = logged(log_training, result, LINEAGE)
    assert run.summary["best/certified_accuracy"] == 0.75
    assert (run.used()["dataset"].name, run.made()["results"].name) == ("digits-test", "eval")


@pytest.mark.parametrize("reached", [None, 0, 2])
def test_the_number_of_images_at_the_limit(logged: Callable[..., OfflineRun], reached: int | None) -> None:
    rows = [row(0), row(1), row(2)]
    run = logged(log_evaluation, result_of(rows, limit_reached=reached), rows, None, [], CLASSES, LINEAGE)
    assert run.summary.get("test/limit_reached") == reached


def test_an_evaluation(logged: Callable[..., OfflineRun]) -> None:
    rows = [row(0, certified=True, round_trip=True), row(1, case=2), row(2, prediction=0, case=2)]
    locations = Locations((np.full((3, 3), 2),), 3, (8, 8))
    image, hidden = np.zeros((8, 8, 3)), np.ones((8, 8), dtype=bool)
    examples = [Example(rows[0], image, hidden, (np.ones((3, 3), dtype=bool),)), Example(rows[2], image)]
    run = logged(log_evaluation, result_of(rows), rows, locations, examples, CLASSES, LINEAGE)
    assert run.summary["test/certified"] == pytest.approx(1 / 3)
    assert run.summary["test/mutants_per_image"] == 891
    assert run.table("evaluation/cases_table")["data"] == [["Case 1", 1, 1, 1, 1, 1], ["Case 2", 0, 2, 1, 0, 0]]
    heights = [row[2] for row in run.table("evaluation/locations_table")["data"]]
    assert heights == pytest.approx([2 / 3] * len(heights))
    verdicts = run.table("evaluation/verdicts")["data"]
    assert [row[1:5] for row in verdicts] == [
        ["round trip", "dog", "dog", "dog"],
        ["misclassified", "dog", "dog", "cat"],
    ]
    assert set(verdicts[0][0]["masks"]) == {"witness", "map"}


def test_an_alert_has_an_overlay_of_its_own(logged: Callable[..., OfflineRun], monkeypatch: pytest.MonkeyPatch) -> None:
    alert, silent = row(0, alert=3, detects=-1), row(1, alert=-1, detects=-1)
    examples = [Example(each, np.zeros((8, 8, 3)), np.ones((8, 8), dtype=bool)) for each in (alert, silent)]
    drawn: list[Any] = []
    monkeypatch.setattr(WandbRun, "image", lambda run, image, overlays: drawn.append(overlays))
    logged(log_evaluation, result_of([alert, silent]), [alert, silent], None, examples, CLASSES, LINEAGE)
    (raised, raised_meaning), (hidden, hidden_meaning) = drawn[0]["alert"], drawn[1]["witness"]
    assert raised_meaning[int(raised.max())] == "hidden in the mutant that raises the alert"
    assert hidden_meaning[int(hidden.max())] == "hidden from the witness"


def test_an_evaluation_without_images(logged: Callable[..., OfflineRun]) -> None:
    rows = [row(0)]
    run = logged(log_evaluation, result_of(rows), rows, None, [], CLASSES, LINEAGE)
    assert set(run.charts) == {"evaluation/accuracy", "evaluation/cases"}


def test_an_attack(logged: Callable[..., OfflineRun]) -> None:
    facts = {"before": Accuracy(3, 4), "after": Accuracy(1, 4), "weights_sha256": "ab", "attacked": "attacked"}
    result = AttackResult(**SUBJECT, **facts, attack="ifgsm", n=4, successes=2)
    image = np.zeros((8, 8, 3))
    example = AttackExample(3, 1, 1, 0, True, 2.0, image, image, np.ones((8, 8), dtype=bool))
    run = logged(log_attack, result, [example], CLASSES, LINEAGE)
    assert (run.summary["attack/base_after"], run.summary["attack/success"]) == (0.25, 0.5)
    (shown,) = run.table("attack/images")["data"]
    assert shown[2:] == ["dog", "dog", "cat", True, 2.0, 3]
    assert set(shown[1]["masks"]) == {"patch"}


def certificate_audit(*tallies: AttackTally) -> CertificateAuditResult:
    numbers = {"images": 4, "certified": 2, "round_trip": 1, "labels_broken": 0, "certificates_broken": 0}
    return CertificateAuditResult(
        **SUBJECT,
        **numbers,
        defender="mrcert",
        placements=9,
        attacks=tallies,
        weights_sha256="ab",
        seconds=2.0,
        mutants_evaluated=100,
    )


def test_an_audit_of_certificates(logged: Callable[..., OfflineRun]) -> None:
    run = logged(log_audit, certificate_audit(AttackTally("random", 18, 0, 0)), LINEAGE)
    assert (run.summary["audit/certified"], run.summary["audit/labels_broken"]) == (0.5, 0)
    assert (run.summary["audit/patched_images_per_second"], run.summary["audit/mutants_per_second"]) == (9, 50)
    assert run.table("audit/certificates_table")["data"] == [["random", 18, 0, 0]]


def test_an_audit_of_a_detector(logged: Callable[..., OfflineRun]) -> None:
    run = logged(log_audit, certificate_audit(AttackTally("silent", 18, 0, 0, detected=5)), LINEAGE)
    table = run.table("audit/certificates_table")
    assert table["columns"] == ["patch", "tried", "other label with an alert", "and without one"]
    assert table["data"] == [["silent", 18, 5, 0]]


def test_an_audit_of_numerics(logged: Callable[..., OfflineRun]) -> None:
    spread = LogitDifference("one thread", "float32", 2e-6, 0, 80)
    margins = {"delta": {"float32": 2e-6}, "margin": {"float32": 4e-6}, "weights_sha256": "ab"}
    result = NumericsResult(**SUBJECT, **margins, images=2, mutants=80, spreads=(spread,))
    run = logged(log_audit, result, LINEAGE)
    assert (run.summary["audit/delta_float32"], run.summary["audit/margin_float32"]) == (2e-6, 4e-6)
    assert run.table("audit/numerics_table")["data"] == [["one thread", 2e-6, 0]]


def test_thresholds(logged: Callable[..., OfflineRun]) -> None:
    counts = {0: {"clean": 3, "alerts": 1}, 1: {"clean": 3, "alerts": 4}}
    rows = tuple(
        ThresholdRow(threshold, {name: Accuracy(count, 4) for name, count in found.items()}, 10.0)
        for threshold, found in counts.items()
    )
    result = ThresholdResult(**SUBJECT, weights_sha256="ab", defender="hicert", n=4, rows=rows)
    run = logged(log_thresholds, result, LINEAGE)
    assert (run.used()["dataset"].name, run.made()["results"].name) == ("digits-test", "eval")
    table = run.table("thresholds")
    assert table["columns"] == ["threshold", "clean", "alerts", "mutants_per_image"]
    assert table["data"] == [[0, 0.75, 0.25, 10], [1, 0.75, 1, 10]]


def test_all_results_of_a_project(logged: Callable[..., OfflineRun]) -> None:
    result = result_of([row(0, certified=True)])
    run = logged(log_overview, [result, replace(result, patch=32)])
    assert len(run.table("overview/results")["data"]) == 2
    assert [line[0] for line in run.table("overview/by_patch_table")["data"]] == [16, 32]
    assert overviews(run) == {"results", "by_defender_table", "by_patch_table"}


def test_detectors_have_charts_of_their_own(logged: Callable[..., OfflineRun]) -> None:
    accuracy = {name: Accuracy(count, 4) for name, count in (("base", 4), ("certified_detection", 3), ("alerts", 1))}
    detector = replace(result_of([row(0)]), defender="hicert", n=4, accuracy=accuracy)
    run = logged(log_overview, [detector, replace(detector, patch=32)])
    assert run.table("overview/detection_by_patch_table")["data"] == [
        [16, "digits vit_srf hicert", 0.75],
        [32, "digits vit_srf hicert", 0.75],
    ]
    assert [bar[1] for bar in run.table("overview/detection_by_defender_table")["data"]] == [0.75, 0.75]
    assert overviews(run) == {"results", "detection_by_defender_table", "detection_by_patch_table"}


def overviews(run: OfflineRun) -> set[str]:
    return {key.removeprefix("overview/") for key in run.summary if key.startswith("overview/")}
