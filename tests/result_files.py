"""Evaluations as they lie on disk, without a model."""

from pathlib import Path
from typing import Any

from mrcert_pl.reporting import write_results, write_verdicts
from mrcert_pl.reporting.runs import Run, read_run

CONFIG = {
    "dataset": {"name": "digits", "limit": None, "root": "data"},
    "model": {"name": "vit_srf", "split": 2, "pretrained": False},
    "defender": {"certificate": "paper", "margin": 0.0},
    "patches": 2,
    "stride": 1,
}
FACTS: dict[str, Any] = {
    "dataset": "digits",
    "model": "vit_srf",
    "patch": 16,
    "defender": "mrcert",
    "round_trip_note": None,
    "mutants_per_image": 891.0,
    "weights_sha256": "ab" * 32,
    "seed": 0,
    "config": CONFIG,
    "command": "eval.py defender=mrcert",
    "environment": {"torch": "2.6", "device": "1 x cpu", "precision": "32-true"},
}


def row(key: int, label: int = 1, prediction: int = 1, **others: Any) -> dict[str, Any]:
    """A verdict row; by default the label is right, and not certified."""
    verdict = {"base_prediction": label, "case": 1, "witness": -1, "certified": False, "round_trip": False}
    return {"id": key, "path": f"digits/{key}", "label": label, "prediction": prediction, **verdict, **others}


def evaluation(folder: Path, rows: list[dict[str, Any]], reported: dict[str, float] | None = None, **facts: Any) -> Run:
    """Write the result and the verdicts of an evaluation."""
    right = [row for row in rows if row["prediction"] == row["label"]]
    counts = {
        "base": sum(row["base_prediction"] == row["label"] for row in rows),
        "clean": len(right),
        "certified": sum(row["certified"] for row in right),
        "round_trip": sum(row["round_trip"] for row in right),
        "n": len(rows),
    }
    write_verdicts(folder / "verdicts.parquet", rows)
    run = read_run(write_results(folder / "results.json", counts, reported or {}, **{**FACTS, **facts}))
    assert run is not None
    return run


def priced_result(folder: Path, gflops: float | None, certified: int, **facts: Any) -> Any:
    """The result of an evaluation of ten images; of three fewer than are certified the round trip is."""
    rows = [row(key, certified=key < certified, round_trip=key < certified - 3) for key in range(10)]
    return evaluation(folder, rows, gflops_per_image=gflops, **facts).result
