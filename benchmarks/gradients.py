"""Gradients of training on masked images and of an attack."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.methods import dense_flops
from benchmarks.rows import Method

# A backward pass takes two products for each of the forward pass.
_FORWARD_AND_BACKWARD = 3


def gradient_methods(model: Any, hidden: Tensor, images: Tensor, labels: Tensor) -> list[Method]:
    """Return forward and backward passes of one batch, without the step of an optimiser.

    - *dense*: with masks, by the path that computes all tokens, if the model has one; the reference;
    - *nothing hidden*: ordinary fine-tuning;
    - *visible tokens*: with masks, as training does it;
    - *attack*: nothing hidden, gradient of the pixels.

    Args:
        model: Base model.
        hidden: Hidden windows ``[image, window]``, as training draws them.
        images: Images ``[image, channel, height, width]``.
        labels: Labels ``[image]``.
    """
    nothing = torch.zeros_like(hidden)
    whole = float(model.encode_flops() + model.mutant_flops(nothing[:1]))
    dense = model.encode_flops() + dense_flops(model, hidden) / len(hidden)
    visible = float(model.encode_flops() + model.mutant_flops(hidden).double().mean())

    def trained(
        classify: Callable[[Tensor, Tensor], Tensor], masks: Tensor, flops: float
    ) -> Callable[[], tuple[float, float]]:
        def work() -> tuple[float, float]:
            model.zero_grad(set_to_none=True)
            F.cross_entropy(classify(model.encode(images), masks).float(), labels).backward()
            return len(images), len(images) * flops * _FORWARD_AND_BACKWARD

        return work

    def attacked() -> tuple[float, float]:
        pixels = images.clone().requires_grad_()
        loss = F.cross_entropy(model(pixels).float(), labels)
        torch.autograd.grad(loss, pixels)
        # No gradients of weights.
        return len(images), len(images) * whole * 2

    n = len(images)
    return [
        Method("training, dense", trained(model.classify, hidden, dense), n),
        Method("training, nothing hidden", trained(model.classify_visible, nothing, whole), n),
        Method("training, visible tokens", trained(model.classify_visible, hidden, visible), n),
        Method("attack, steps", attacked, n),
    ]
