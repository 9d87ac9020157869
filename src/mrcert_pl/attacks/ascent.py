"""Signed gradient ascent on the pixels of patches."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mrcert_pl.errors import ConfigurationError, NumericalError

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From images ``[patch, 3, height, width]`` to scores ``[patch]``, which are maximised, and labels ``[patch]``."""


@dataclass(frozen=True)
class Bounds:
    """Limits of the pixels of a patch in units of [0, 1]; each broadcasts to ``[patch, 3, height, width]``.

    Attributes:
        low: Least values.
        high: Largest values.
        step: Change of a pixel in one step.
    """

    low: Float[Tensor, "..."]
    high: Float[Tensor, "..."]
    step: Float[Tensor, "..."]


@dataclass(frozen=True)
class Best:
    """Iterate with the highest score of each patch, the first one of equals.

    Attributes:
        images: Patched images.
        scores: Their scores.
        labels: Their labels.
        steps: Steps after which they were reached.
    """

    images: Float[Tensor, "patch 3 height width"]
    scores: Float[Tensor, " patch"]
    labels: Int[Tensor, " patch"]
    steps: Int[Tensor, " patch"]

    def champion(self) -> int:
        """Return the number of the patch with the highest score."""
        return int(self.scores.argmax())


def ascend(
    objective: Objective,
    images: Float[Tensor, "patch 3 height width"],
    patches: Bool[Tensor, "patch 1 height width"],
    bounds: Bounds,
    steps: int,
    quantize: bool,
    enough: Callable[[Best], bool] = lambda best: False,
) -> Best:
    """Move the pixels of patches by the sign of the gradient; every iterate is scored, the last one too.

    With ``quantize`` the iterate is rounded to the 8-bit grid before it is scored and differentiated; the moves add up
    unrounded.

    Args:
        objective: Scores and labels of images.
        images: Images with the initial patches.
        patches: Pixels of the patches.
        bounds: Limits of these pixels from the first step on.
        steps: Number of moves.
        quantize: Round to the 8-bit grid.
        enough: Condition that ends the ascent early.

    Raises:
        NumericalError: For scores that are not finite.
    """
    best = None
    # Fused attention may add up its gradients in any order. Validation and tests run in inference mode.
    with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        iterate = images.detach().clone()
        for step in range(steps + 1):
            shown = torch.where(patches, on_grid(iterate), iterate) if quantize else iterate
            shown = shown.detach().requires_grad_()
            scores, labels = objective(shown)
            if not scores.isfinite().all():
                raise NumericalError("the logits under attack are not finite: the weights or the image are damaged")
            best = _better(best, shown.detach(), scores.detach(), labels.detach(), step)
            if step == steps or enough(best):
                break
            (gradient,) = torch.autograd.grad(scores.sum(), shown)
            moved = (iterate + bounds.step * gradient.sign()).clamp(bounds.low, bounds.high)
            iterate = torch.where(patches, moved, iterate)
    assert best is not None
    return best


def check_ascents(starts: int, steps: int, step_size: float) -> None:
    """Validate the number of starts, the number of steps and the step size.

    Raises:
        ConfigurationError: For numbers out of range.
    """
    check_whole("the starts of an attack", starts, 1)
    check_whole("the steps of an attack", steps, 0)
    if isinstance(step_size, bool) or not isinstance(step_size, int | float) or not 0 < step_size < math.inf:
        raise ConfigurationError(f"the step size of an attack must be positive and finite, got {step_size!r}")


def check_whole(name: str, value: object, least: int) -> None:
    """Validate a setting that is a whole number.

    Raises:
        ConfigurationError: For another type, or a value below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of at least {least}, got {value!r}")


def on_grid(images: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Round values in [0, 1] to whole 255ths."""
    return (images.clamp(0, 1) * 255).round() / 255


def _better(best: Best | None, images: Tensor, scores: Tensor, labels: Tensor, step: int) -> Best:
    if best is None:
        return Best(images, scores, labels, torch.zeros_like(labels))
    better = scores > best.scores
    return Best(
        torch.where(better[:, None, None, None], images, best.images),
        torch.where(better, scores, best.scores),
        torch.where(better, labels, best.labels),
        torch.where(better, step, best.steps),
    )
