"""Patch attacks on base models and on certificates, and the audits that use them."""

from mrcert_pl.attacks.adaptive import AdaptivePatch
from mrcert_pl.attacks.base import AttackedImage, PatchAttack, PlacedAttack
from mrcert_pl.attacks.certificate_audit import CertificateAudit
from mrcert_pl.attacks.cheap import CheapPatches
from mrcert_pl.attacks.costly_ifgsm import CostlyIFGSM
from mrcert_pl.attacks.gradient import GradientAttack, normalised_range
from mrcert_pl.attacks.location_search import LocationSearch
from mrcert_pl.attacks.logit_spread import LogitSpread
from mrcert_pl.attacks.patch_ifgsm import PatchIFGSM
from mrcert_pl.attacks.placement import Placement, placement_grid
from mrcert_pl.attacks.silent import SilentPatch, adaptive_attack
from mrcert_pl.attacks.silent_ifgsm import SilentIFGSM

__all__ = [
    "AdaptivePatch",
    "AttackedImage",
    "CertificateAudit",
    "CheapPatches",
    "CostlyIFGSM",
    "GradientAttack",
    "LocationSearch",
    "LogitSpread",
    "PatchAttack",
    "PatchIFGSM",
    "PlacedAttack",
    "Placement",
    "SilentIFGSM",
    "SilentPatch",
    "adaptive_attack",
    "normalised_range",
    "placement_grid",
]
