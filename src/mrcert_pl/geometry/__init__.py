"""Patches, covering masks, unions of masks, ablations and location maps. No models, no images."""

import warnings
from typing import Any

from mrcert_pl.geometry.ablations import AblationKind, Ablations, PatchedAblations
from mrcert_pl.geometry.covering import Borders, check_covering, covering_masks, window_borders
from mrcert_pl.geometry.locations import certified_fraction, hidden_boxes, location_maps
from mrcert_pl.geometry.patch import PatchSpec
from mrcert_pl.geometry.unions import UnionLattice, covering_lattice

__all__ = [
    "AblationKind",
    "Ablations",
    "Borders",
    "PatchSpec",
    "PatchedAblations",
    "UnionLattice",
    "certified_fraction",
    "check_covering",
    "covering_lattice",
    "covering_masks",
    "hidden_boxes",
    "location_maps",
    "window_borders",
]


def __getattr__(name: str) -> Any:
    if name == "ColumnAblations":
        warnings.warn("ColumnAblations is deprecated; use Ablations", DeprecationWarning, stacklevel=2)
        return Ablations
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
