"""Patch attacks: on the base model, and on the verdicts of a defender."""

from mrcert_pl.attacks.adaptive import AdaptivePatch
from mrcert_pl.attacks.base import AttackedImage, PatchAttack, PlacedAttack
from mrcert_pl.attacks.cheap import CheapPatches
from mrcert_pl.attacks.gradient import GradientAttack, Space
from mrcert_pl.attacks.location_search import LocationSearch
from mrcert_pl.attacks.patch_ifgsm import PatchIFGSM
from mrcert_pl.attacks.placement import Placement, placement_grid

__all__ = [
    "AdaptivePatch",
    "AttackedImage",
    "CheapPatches",
    "GradientAttack",
    "LocationSearch",
    "PatchAttack",
    "PatchIFGSM",
    "PlacedAttack",
    "Placement",
    "Space",
    "placement_grid",
]
