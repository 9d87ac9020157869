"""How a base learning rate becomes the one that a run uses."""

import math
from typing import Literal, get_args

from mrcert_pl.errors import unknown

LearningRateScaling = Literal["none", "linear", "sqrt"]

REFERENCE_BATCH = 256


def effective_lr(base: float, scaling: LearningRateScaling, batch: int) -> tuple[float, str]:
    """The learning rate for ``batch`` images per optimiser step, and in words how it came about.

    Args:
        base: learning rate, at a batch of 256 images if it is scaled.
        scaling: ``none``; ``linear`` in the batch (MAE); ``sqrt`` of it (what timm's scripts do for Adam).
        batch: images per optimiser step over all devices and accumulated batches.

    Raises:
        ConfigurationError: for an unknown scaling.
    """
    if scaling not in get_args(LearningRateScaling):
        raise unknown("learning rate scaling", scaling, get_args(LearningRateScaling))
    if scaling == "none":
        return base, f"learning rate {base:.3g}, not scaled; {batch} images per step"
    ratio = batch / REFERENCE_BATCH
    lr = base * (math.sqrt(ratio) if scaling == "sqrt" else ratio)
    factor = f"sqrt({batch} / {REFERENCE_BATCH})" if scaling == "sqrt" else f"{batch} / {REFERENCE_BATCH}"
    return lr, f"learning rate {lr:.3g} = {base:.3g} x {factor} for {batch} images per step"
