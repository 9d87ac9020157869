"""LightningModules: masked fine-tuning, certification and attacks."""

from mrcert_pl.lit.certification import Certification
from mrcert_pl.lit.learning_rate import effective_lr
from mrcert_pl.lit.mask_sampling import AblationSampler, MaskSampler, WindowSampler
from mrcert_pl.lit.masked_finetuning import MaskedFinetuning
from mrcert_pl.lit.patch_attacking import PatchAttacking

__all__ = [
    "AblationSampler",
    "Certification",
    "MaskSampler",
    "MaskedFinetuning",
    "PatchAttacking",
    "WindowSampler",
    "effective_lr",
]
