"""Scaling of a base learning rate with the batch size."""

import math

from mrcert_pl.errors import unknown

SCALINGS = ("none", "linear", "sqrt")
REFERENCE_BATCH = 256


def effective_lr(base: float, scaling: str, batch: int) -> tuple[float, str]:
    """Return the learning rate for a batch size, and the sentence that derives it.

    Args:
        base: Learning rate; if scaled, for a batch of 256 images.
        scaling: ``none``; ``linear`` in the batch size (MAE); ``sqrt`` of it (timm's scripts for Adam).
        batch: Images per optimiser step over all devices and accumulated batches.

    Raises:
        ConfigurationError: For an unknown scaling.
    """
    if scaling not in SCALINGS:
        raise unknown("learning rate scaling", scaling, SCALINGS)
    if scaling == "none":
        return base, f"learning rate {base:.3g}, not scaled; {batch} images per step"
    ratio = batch / REFERENCE_BATCH
    factor, term = (math.sqrt(ratio), "sqrt({})") if scaling == "sqrt" else (ratio, "{}")
    formula = term.format(f"{batch} / {REFERENCE_BATCH}")
    return base * factor, f"learning rate {base * factor:.3g} = {base:.3g} x {formula} for {batch} images per step"
