"""LightningModules: masked fine-tuning, certification and attacks."""

from mrcert_pl.lit.certification import Certification
from mrcert_pl.lit.masked_finetuning import MaskedFinetuning
from mrcert_pl.lit.patch_attacking import PatchAttacking

__all__ = ["Certification", "MaskedFinetuning", "PatchAttacking"]
