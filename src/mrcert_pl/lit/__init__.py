"""LightningModules: masked fine-tuning and certification."""

from mrcert_pl.lit.certification import Certification
from mrcert_pl.lit.learning_rate import effective_lr
from mrcert_pl.lit.mask_sampling import AblationSampler, MaskSampler, WindowSampler
from mrcert_pl.lit.masked_finetuning import MaskedFinetuning

__all__ = ["AblationSampler", "Certification", "MaskSampler", "MaskedFinetuning", "WindowSampler", "effective_lr"]
