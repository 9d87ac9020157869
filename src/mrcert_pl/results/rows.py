"""From verdicts to results: the rows of a batch, and the numbers of images by location of the patch."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mrcert_pl.defenders import Verdicts
from mrcert_pl.geometry import PatchSpec, certified_fraction, location_maps
from mrcert_pl.geometry.covering import Borders
from mrcert_pl.mutants import PredictionTable
from mrcert_pl.results.locations import Locations
from mrcert_pl.results.schema import VerdictRow

# Rows whose maps are in memory at a time.
_BATCH = 256


class CostModel(Protocol):
    """Operations that a set of evaluated mutants costs (``models.flops.TableFlops``)."""

    def per_image(self, evaluated: Any) -> Tensor: ...


def verdict_rows(
    ids: Sequence[int],
    paths: Sequence[str],
    labels: Sequence[int],
    table: PredictionTable[Any],
    verdicts: Verdicts,
    model: Any,
    patch: PatchSpec | None = None,
    flops: CostModel | None = None,
) -> list[VerdictRow]:
    """Return one row per image.

    Args:
        ids: Ids of the images.
        paths: Their paths.
        labels: Their true labels.
        table: Labels of their mutants.
        verdicts: Verdicts on them, with certificates and round trips.
        model: Base model; only ``model.borders`` is read, where ``verdicts`` has safe masks.
        patch: Patch, for the certified fraction of its placements.
        flops: Cost model; without one the rows have no cost.
    """
    columns: dict[str, Tensor | None] = {
        "base_prediction": table.labels[:, 0],
        "prediction": verdicts.label,
        "case": verdicts.case,
        "witness": verdicts.witness,
        "certified": verdicts.certified,
        "round_trip": verdicts.round_trip,
        "certified_patches": verdicts.certified_patches,
        "level": verdicts.level,
        "alert": verdicts.alert,
        "detects": verdicts.detects,
        "limit_reached": verdicts.limit_reached,
        "mutants_evaluated": table.evaluated.sum(1),
        "gflops": None if flops is None else flops.per_image(table.evaluated) / 1e9,
    }
    if verdicts.safe_masks is not None and patch is not None:
        safe_masks: Any = verdicts.safe_masks
        maps = location_maps(safe_masks, table.mutants.masks, model.borders, patch)
        columns["certified_fraction"] = certified_fraction(maps)
    lists = {name: column.tolist() for name, column in columns.items() if column is not None}
    safe = [None] * len(ids) if verdicts.safe_masks is None else [tuple(row) for row in verdicts.safe_masks.tolist()]
    facts = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    return [
        VerdictRow(id=image_id, path=path, label=label, safe_masks=masks, **row)
        for image_id, path, label, masks, row in zip(ids, paths, labels, safe, facts, strict=True)
    ]


def count_locations(
    rows: Sequence[VerdictRow], masks: Sequence[int], borders: Borders, patch: PatchSpec
) -> Locations | None:
    """Count the images that no patch at a location can change; ``None`` if a row has no safe masks.

    Args:
        rows: Verdicts.
        masks: Masks of the defender, those of ``safe_masks``.
        borders: Borders of the windows in px.
        patch: The patch that the masks cover.
    """
    if any(row.safe_masks is None for row in rows):
        return None
    correct = [row.safe_masks for row in rows if row.correct]
    counts: list[np.ndarray] = []
    # At least one batch, so that no correct image gives maps of zeros.
    for start in range(0, max(len(correct), 1), _BATCH):
        batch = correct[start : start + _BATCH]
        safe: Any = torch.tensor(batch, dtype=torch.bool).reshape(len(batch), len(masks))
        maps = [safe_at.sum(0).int().numpy() for safe_at in location_maps(safe, masks, borders, patch)]
        counts = [a + b for a, b in zip(counts, maps, strict=True)] if counts else maps
    return Locations(tuple(counts), len(rows), (borders[0][-1], borders[1][-1]))
