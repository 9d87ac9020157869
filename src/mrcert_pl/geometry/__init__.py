"""Where a patch can be and what must be hidden: patches, covering masks, unions of masks. No models, no images."""

from mrcert_pl.geometry.covering import check_covering, covering_masks
from mrcert_pl.geometry.patch import PatchSpec
from mrcert_pl.geometry.unions import UnionLattice, covering_lattice

__all__ = ["PatchSpec", "UnionLattice", "check_covering", "covering_lattice", "covering_masks"]
