"""Rows of verdicts and decisions on stored tables, until the tasks take both over."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from mrcert_pl.data import Sample
from mrcert_pl.defenders import Defender, Verdicts
from mrcert_pl.geometry import PatchSpec, certified_fraction, location_maps
from mrcert_pl.metrics import CertifiedRecoveryAccuracy
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.mutants import MutantSet, PredictionTable, TableStore

Keep = Callable[[list[dict[str, Any]]], object]


def row_writer(
    model: Any, mutants: MutantSet, patch: PatchSpec, keep: Keep
) -> Callable[[Sample, PredictionTable[Any], Verdicts], None]:
    """Return a receiver of batches that passes on their rows."""
    flops = TableFlops.known(model, mutants.hidden)

    def on_batch(batch: Sample, table: PredictionTable[Any], verdicts: Verdicts) -> None:
        ids, labels = batch.id.tolist(), batch.label.tolist()
        keep(verdict_rows(ids, batch.path, labels, table, verdicts, model, patch, flops))

    return on_batch


def certify_stored(
    store: TableStore,
    lattice: MutantSet,
    defender: Defender[Any],
    model: Any,
    patch: PatchSpec,
    attacked: bool = False,
    only: Collection[int] | None = None,
    keep: Keep = lambda rows: None,
) -> dict[str, int]:
    """The counts of one defender on tables that are there already: no weights, no images, seconds.

    Args:
        store: the tables.
        lattice: the mutants of the defender.
        defender: decides.
        model: a model of the same kind; only its geometry is read.
        patch: as for :class:`Certification`.
        attacked: as for :class:`Certification`.
        only: ids of the images; by default all that have a table.
        keep: as for :class:`Certification`.

    Raises:
        ConfigurationError: if the tables lack labels that the defender needs.
    """
    metric = CertifiedRecoveryAccuracy(attacked)
    flops = TableFlops.known(model, lattice.hidden)
    for images, table in store.batches(lattice, only):
        verdicts = defender.with_output("map").decide(table)
        metric.update(verdicts, torch.tensor(images["label"]), base=table.labels[:, 0])
        keep(verdict_rows(images["id"], images["path"], images["label"], table, verdicts, model, patch, flops))
    return metric.counts()


def verdict_rows(
    ids: Sequence[int],
    paths: Sequence[str],
    labels: Sequence[int],
    table: PredictionTable[Any],
    verdicts: Verdicts,
    model: Any,
    patch: PatchSpec | None = None,
    flops: TableFlops | None = None,
) -> list[dict[str, Any]]:
    """One dict per image, with those columns of ``verdicts.parquet`` that the defender gives."""
    safe: Any = verdicts.safe_masks
    columns = {
        "id": ids,
        "path": paths,
        "label": labels,
        "base_prediction": table.labels[:, 0],
        "prediction": verdicts.label,
        "case": verdicts.case,
        "witness": verdicts.witness,
        "certified": verdicts.certified,
        "round_trip": verdicts.round_trip,
        "certified_patches": verdicts.certified_patches,
        "level": verdicts.level,
        "safe_masks": safe,
        "certified_fraction": None,
        "mutants_evaluated": table.evaluated.sum(1),
        "gflops": None if flops is None else flops.per_image(table.evaluated) / 1e9,
    }
    if safe is not None and patch is not None:
        maps = location_maps(safe, table.mutants.masks, model.borders, patch)
        columns["certified_fraction"] = certified_fraction(maps)
    columns = {name: column for name, column in columns.items() if column is not None}
    lists = [column.tolist() if isinstance(column, Tensor) else column for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
