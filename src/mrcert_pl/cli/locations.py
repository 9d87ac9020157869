"""The map of an evaluation: on how many images the label is safe, by where the patch is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

# Maps of so many images are in memory together.
_IMAGES = 256


def count_locations(
    cfg: DictConfig, run_dir: Path, rows: Sequence[Mapping[str, Any]], model: Any, lattice: Any
) -> None:
    """Write ``locations.npz`` into the run's folder, if the defender tells under which masks an image is safe."""
    from mrcert_pl.cli.build import patch_of
    from mrcert_pl.geometry import location_maps
    from mrcert_pl.reporting.locations import write_locations

    if not hasattr(model, "borders") or any(row.get("safe_masks") is None for row in rows):
        return
    right = [row["safe_masks"] for row in rows if row["prediction"] == row["label"]]
    safe = torch.tensor(right, dtype=torch.bool).reshape(len(right), len(lattice.masks))
    parts: Any = safe.split(_IMAGES)
    maps = [[m.sum(0) for m in location_maps(part, lattice.masks, model.borders, patch_of(cfg))] for part in parts]
    counts = [torch.stack(shape).sum(0).int().numpy() for shape in zip(*maps, strict=True)]
    write_locations(run_dir / "locations.npz", counts, len(rows), (model.borders[0][-1], model.borders[1][-1]))
