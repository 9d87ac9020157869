"""Training apart from Lightning: mask samplers, distillation, drop path and learning rates."""

from mrcert_pl.training.distillation import Distillation
from mrcert_pl.training.drop_path import set_drop_path
from mrcert_pl.training.learning_rate import effective_lr
from mrcert_pl.training.mask_sampling import (
    AblationSampler,
    MaskSampler,
    MixedSampler,
    WindowSampler,
    fewest_to_hide_all,
)

__all__ = [
    "AblationSampler",
    "Distillation",
    "MaskSampler",
    "MixedSampler",
    "WindowSampler",
    "effective_lr",
    "fewest_to_hide_all",
    "set_drop_path",
]
