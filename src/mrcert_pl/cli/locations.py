"""The map of an evaluation: on how many images the label is safe, by where the patch is."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig


def count_locations(cfg: DictConfig, run_dir: Path, model: Any, lattice: Any) -> None:
    """Write ``locations.npz`` into the run's folder, if the defender tells under which masks an image is safe."""
    from mrcert_pl.cli.build import patch_of
    from mrcert_pl.geometry import location_maps
    from mrcert_pl.reporting.locations import write_locations
    from mrcert_pl.reporting.verdict_rows import verdict_batches

    if not hasattr(model, "borders"):
        return
    counts, images = None, 0
    for rows in verdict_batches(run_dir / "verdicts.parquet", ["prediction", "label", "safe_masks"]):
        if any(row["safe_masks"] is None for row in rows):
            return
        right = [row["safe_masks"] for row in rows if row["prediction"] == row["label"]]
        safe: Any = torch.tensor(right, dtype=torch.bool).reshape(len(right), len(lattice.masks))
        maps = [m.sum(0).int().numpy() for m in location_maps(safe, lattice.masks, model.borders, patch_of(cfg))]
        counts = maps if counts is None else [a + b for a, b in zip(counts, maps, strict=True)]
        images += len(rows)
    assert counts is not None
    write_locations(run_dir / "locations.npz", counts, images, (model.borders[0][-1], model.borders[1][-1]))
