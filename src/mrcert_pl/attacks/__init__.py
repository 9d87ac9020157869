"""Patch attacks: on the base model, and on the verdicts of a defender."""

from mrcert_pl.attacks.base import AttackedImage, PatchAttack
from mrcert_pl.attacks.patch_ifgsm import PatchIFGSM, Space
from mrcert_pl.attacks.placement import Placement, placement_grid

__all__ = ["AttackedImage", "PatchAttack", "PatchIFGSM", "Placement", "Space", "placement_grid"]
