"""Small evaluations on disk, without a model: real masks, real defenders, tables at random; and changes of them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mrcert_pl.defenders import OutputLevel, build
from mrcert_pl.errors import ResultsError
from mrcert_pl.geometry import (
    Ablations,
    PatchedAblations,
    PatchSpec,
    UnionLattice,
    certified_fraction,
    covering_masks,
    location_maps,
    window_borders,
)
from mrcert_pl.metrics import accuracy_of
from mrcert_pl.mutants import PredictionTable, TableStore, store_header
from mrcert_pl.mutants.table import rounded_down
from mrcert_pl.results.schema import Accuracy, Environment, EvaluationResult, MutantFacts, VerdictRow
from mrcert_pl.verification import verify

GRID, WINDOW_PX, PATCH, CLASSES = (1, 6), (8, 8), 8, 4
BORDERS = window_borders(GRID, WINDOW_PX)
_ORDERS = {"hicert": 1, "patchcensor": 1, "patchguardpp": 1, "undefended": 0, "patchcure": 2, "patchcure_paper": 2}
_COLUMNS = pa.schema(
    [
        ("id", pa.int64()),
        ("path", pa.string()),
        *((name, pa.int32()) for name in ("label", "base_prediction", "prediction", "case", "witness")),
        ("certified", pa.bool_()),
        ("round_trip", pa.bool_()),
        ("certified_patches", pa.int8()),
        ("level", pa.int8()),
        ("safe_masks", pa.list_(pa.bool_())),
        ("certified_fraction", pa.float32()),
        ("mutants_evaluated", pa.int32()),
        ("gflops", pa.float64()),
        ("alert", pa.int32()),
        ("detects", pa.int32()),
    ]
)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=_COLUMNS), path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def mutants_of(defender: str) -> Any:
    if defender.startswith("vot"):
        return PatchedAblations(Ablations((8, 24), 2, 1, "column"), PatchSpec((2, 2)))
    masks = covering_masks(GRID, WINDOW_PX, PatchSpec(PATCH))
    return UnionLattice(masks, GRID[0] * GRID[1], _ORDERS.get(defender, 4), allow_blind=True)


def random_tables(mutants: Any, images: int) -> PredictionTable[Any]:
    """Labels that mostly agree, so that there are all kinds of verdicts."""
    labels = torch.randint(CLASSES, (images, 1)).expand(-1, len(mutants)).clone()
    differs = torch.rand(labels.shape) < torch.rand(images, 1) ** 4 * 0.4
    differs[: images // 3] = False
    labels = torch.where(differs, torch.randint(CLASSES, labels.shape), labels)
    if isinstance(mutants, UnionLattice) and mutants.order:
        # Some images have a patch under one mask: all mutants that don't hide it are misclassified.
        shown = ~mutants.containing(1)[1]
        labels[images // 2 :] = torch.where(shown, (labels[images // 2 :] + 1) % CLASSES, labels[images // 2 :])
    log_odds = 4 * torch.randn(labels.shape, generator=torch.Generator().manual_seed(8)) + 3
    return PredictionTable(mutants, labels, rounded_down(torch.rand(labels.shape) + 0.01), log_odds)


class _Lazily:
    """Asks for what a defender needs, from a table that is known in full."""

    def __init__(self, full: PredictionTable[Any], defender: Any) -> None:
        table = PredictionTable.empty(full.mutants, len(full.labels))
        while (queries := defender.next_queries(table)).any():
            table.labels[queries] = full.labels[queries].to(table.labels.dtype)
            table.margins[queries] = full.margins[queries]  # type: ignore[index]
            table.log_odds[queries] = full.log_odds[queries]  # type: ignore[index]
        self.table = table


def evaluation(folder: Path, name: str = "mrcert_sharp", images: int = 12, lazily: bool = False, **extra: Any) -> Path:
    """Write an evaluation of a defender and return its folder."""
    mutants, patch = mutants_of(name), PatchSpec((2, 2) if name.startswith("vot") else PATCH)
    defender = build(name).with_output(OutputLevel("map" if lazily else "table"))
    table = random_tables(mutants, images)
    if lazily:
        table = _Lazily(table, defender).table
    verdicts = defender.decide(table)
    labels = torch.where(torch.rand(images) < 0.8, verdicts.label, torch.randint(CLASSES, (images,))).tolist()
    paths, ids = [f"test/{number}.png" for number in range(images)], list(range(10, 10 + images))
    voting = name.startswith("vot")
    header = store_header(
        dataset="digits",
        model={"format": 1, "model": "ViTSRF", "config": {"num_classes": CLASSES}},
        weights_sha256="ab" * 32,
        precision="32-true",
        mutants=mutants,
        borders=None if voting else BORDERS,
        names={"dataset": "digits", "model": "vit_srf"},
    )
    store = TableStore(folder / "mutants", header)
    for part in torch.arange(images).split(5):
        rows = part.tolist()
        pixels = torch.rand(len(rows), 1, 2, 2)
        store.add(table.rows(part), [ids[i] for i in rows], [paths[i] for i in rows], [labels[i] for i in rows], pixels)
        store.flush()
    columns: dict[str, list[Any]] = {
        field: [None] * images if value is None else value.tolist() for field, value in vars(verdicts).items()
    }
    maps = None
    if verdicts.safe_masks is not None:
        maps = location_maps(verdicts.safe_masks, mutants.masks, BORDERS, patch)
        columns["certified_fraction"] = certified_fraction(maps).tolist()
    columns["prediction"] = columns.pop("label")
    columns |= {
        "id": ids,
        "path": paths,
        "label": labels,
        "base_prediction": table.labels[:, 0].tolist(),
        "mutants_evaluated": table.evaluated.sum(1).tolist(),
        "gflops": [0.5 + number for number in range(images)],
    }
    rows = [VerdictRow(**{field: column[i] for field, column in columns.items()}) for i in range(images)]
    write_rows(folder / "verdicts.parquet", [asdict(row) for row in rows])
    if maps is not None:
        correct = torch.tensor([row.correct for row in rows])
        counts: Any = {f"counts_{i}": m[correct].sum(0).int().numpy() for i, m in enumerate(maps)}
        np.savez_compressed(folder / "locations.npz", n=images, image_px=(BORDERS[0][-1], BORDERS[1][-1]), **counts)
    counts = {
        "base": sum(row.base_correct for row in rows),
        "clean": sum(row.correct for row in rows),
        "certified": sum(row.correct_and_certified for row in rows),
        "round_trip": sum(row.correct_and_round_trip for row in rows),
    }
    if verdicts.alert is not None:
        metric = accuracy_of(defender)
        metric.update(verdicts, torch.tensor(labels))
        counts = {kind: count for kind, count in metric.counts().items() if kind != "n"}
    settings: dict[str, Any] = {"name": name, "margin": 0.0} if name != "undefended" else {"name": name}
    if name.startswith("mrcert"):
        settings["patches"] = 2
    stated = "2x2" if voting else PATCH
    EvaluationResult(
        **{
            "dataset": "digits",
            "model": "vit_srf",
            "patch": stated,
            "defender": name,
            "n": images,
            "accuracy": {kind: Accuracy(count, images) for kind, count in counts.items()},
            "mutants_per_image": round(float(np.mean(columns["mutants_evaluated"])), 2),
            "weights_sha256": "ab" * 32,
            "seed": 0,
            "environment": Environment.here("1 x cpu", "32-true"),
            "defender_settings": settings,
            "round_trip_note": defender.round_trip_note,
            "mutants": MutantFacts.of(mutants.summary()),
            "gflops_per_image": float(np.mean(columns["gflops"])),
            "table": "elsewhere",
            "margin": settings.get("margin"),
            "seconds": 1.0,
            "command": "eval.py",
            "config": {
                "patch": stated,
                "seed": 0,
                "defender": {"_target_": "mrcert_pl.defenders.build", **settings},
                "dataset": {"name": "digits", "limit": None},
                "evaluate": "lazy" if lazily else "full",
            },
            **extra,
        }
    ).write(folder / "results.json")
    return folder


def found(run: Path, **arguments: Any) -> str:
    """What verification finds: the fields that differ, or the error."""
    try:
        report = verify(run, **arguments)
    except ResultsError as error:
        return str(error)
    assert report.skipped is None
    return ", ".join(f"{difference.image_id} {difference.field}" for difference in report.differences)


def rewrite(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((run / "results.json").read_text())
    change(content)
    (run / "results.json").write_text(json.dumps(content))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every plain value of nested objects and lists, with its place."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path, value
    else:
        for name, part in parts:
            yield from leaves(part, (*path, name))


def put(content: Any, path: tuple[Any, ...], value: Any) -> None:
    for name in path[:-1]:
        content = content[name]
    content[path[-1]] = value
