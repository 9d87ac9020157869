"""Evaluations on disk, without a model."""

from pathlib import Path
from typing import Any

from mrcert_pl.results import Accuracy, Environment, EvaluationResult, EvaluationRun, VerdictRow, write_verdicts

CONFIG = {
    "dataset": {"name": "digits", "limit": None, "root": "data"},
    "model": {"name": "vit_srf", "split": 2, "pretrained": False},
    "defender": {"certificate": "paper", "margin": 0.0},
    "patches": 2,
    "stride": 1,
}
ENVIRONMENT = Environment({"torch": "2.6"}, "Linux x86_64", "1 x cpu", "32-true")
FACTS: dict[str, Any] = {
    "dataset": "digits",
    "model": "vit_srf",
    "patch": 16,
    "defender": "mrcert",
    "mutants_per_image": 891.0,
    "weights_sha256": "ab" * 32,
    "seed": 0,
    "config": CONFIG,
    "command": "eval.py defender=mrcert",
    "environment": ENVIRONMENT,
}


def row(image_id: int, label: int = 1, prediction: int = 1, **others: Any) -> VerdictRow:
    """A verdict row; by default correct, and not certified."""
    verdict = {"base_prediction": label, "case": 1, "witness": -1, "certified": False, "round_trip": False, **others}
    return VerdictRow(id=image_id, path=f"digits/{image_id}", label=label, prediction=prediction, **verdict)


def result_of(rows: list[VerdictRow], reported: dict[str, float] | None = None, **facts: Any) -> EvaluationResult:
    """The result of verdicts."""
    counts = {
        "base": sum(row.base_correct for row in rows),
        "clean": sum(row.correct for row in rows),
        "certified": sum(row.correct_and_certified for row in rows),
        "round_trip": sum(row.correct_and_round_trip for row in rows),
    }
    accuracy = {name: Accuracy(count, len(rows), (reported or {}).get(name)) for name, count in counts.items()}
    settings = facts.get("config", CONFIG)["defender"]
    known = {**FACTS, "n": len(rows), "accuracy": accuracy, "defender_settings": settings}
    return EvaluationResult(**{**known, **facts})


def evaluation(
    folder: Path, rows: list[VerdictRow], reported: dict[str, float] | None = None, **facts: Any
) -> EvaluationRun:
    """Write the result and the verdicts of an evaluation, and read the result back."""
    write_verdicts(folder / "verdicts.parquet", rows)
    file = result_of(rows, reported, **facts).write(folder / "results.json")
    return EvaluationRun(file, EvaluationResult.read(file))


def priced_result(folder: Path, gflops: float | None, certified: int, **facts: Any) -> EvaluationResult:
    """The result of an evaluation of ten images; the round trip holds for three fewer than are certified."""
    rows = [row(i, certified=i < certified, round_trip=i < certified - 3) for i in range(10)]
    return evaluation(folder, rows, gflops_per_image=gflops, **facts).result


def detection_result(folder: Path, gflops: float, detected: int, alerts: int, **facts: Any) -> EvaluationResult:
    """The result of a detector on ten images."""
    counts = {"base": 10, "clean": 10, "certified_detection": detected, "certified_ratio": detected, "alerts": alerts}
    accuracy = {name: Accuracy(count, 10) for name, count in counts.items()}
    rows = [row(i, alert=-1, detects=-1) for i in range(10)]
    known: dict[str, Any] = {"defender": "hicert", "accuracy": accuracy, "gflops_per_image": gflops}
    return evaluation(folder, rows, **{**known, **facts}).result
