"""Signed gradient ascent on the pixels of patches."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mrcert_pl.errors import ConfigurationError, NumericalError

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From images ``[n, 3, height, width]`` to scores ``[n]``, which are to become large, and labels ``[n]``."""


@dataclass(frozen=True)
class Bounds:
    """What the pixels of a patch may be, in units of [0, 1]; each broadcasts to ``[n, 3, height, width]``.

    Attributes:
        low: least values.
        high: largest values.
        step: how far one step moves a pixel.
    """

    low: Tensor
    high: Tensor
    step: Tensor


@dataclass
class Best:
    """The iterate with the highest score of each patch, the first one of equals.

    Attributes:
        images: ``[n, 3, height, width]``. scores: ``[n]``. labels: ``[n]``. steps: long ``[n]``.
    """

    images: Tensor
    scores: Tensor
    labels: Tensor
    steps: Tensor

    def champion(self) -> int:
        """The patch with the highest score."""
        return int(self.scores.argmax())


def ascend(
    objective: Objective,
    images: Tensor,
    patches: Tensor,
    bounds: Bounds,
    steps: int,
    quantize: bool,
    enough: Callable[[Best], bool] = lambda best: False,
) -> Best:
    """Move the pixels of patches by the sign of the gradient, ``steps`` times; every iterate is scored, the last too.

    With ``quantize`` what is scored, and differentiated, is the iterate rounded to the 8-bit grid; the moves add up
    unrounded.

    Args:
        objective: scores and labels of images.
        images: ``[n, 3, height, width]``, with what the patches begin with.
        patches: bool ``[n, 1, height, width]``, their pixels.
        bounds: kept by the pixels of the patches from the first step on.
        steps: number of moves.
        quantize: round to the 8-bit grid.
        enough: ends the ascent early.

    Raises:
        NumericalError: for scores that are not finite.
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
    """Make sure that so many ascents of so many steps of this size are some.

    Raises:
        ConfigurationError: for numbers out of range.
    """
    for what, value, least in (("starts", starts, 1), ("steps", steps, 0)):
        if value < least:
            raise ConfigurationError(f"the {what} of an attack must be at least {least}, not {value}")
    if not step_size > 0:
        raise ConfigurationError(f"the step size of an attack must be positive, not {step_size}")


def on_grid(images: Tensor) -> Tensor:
    """Values in [0, 1] rounded to whole 255ths."""
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
