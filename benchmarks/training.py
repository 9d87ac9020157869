"""Ways to train on masked images, and the steps of an attack."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.rows import Way
from benchmarks.ways import dense_flops

# A backward pass takes two products for each of the forward pass.
_FORWARD_AND_BACKWARD = 3


def gradient_ways(model: Any, hidden: Tensor, images: Tensor, labels: Tensor) -> list[Way]:
    """Forward and backward passes of one batch, without the step of an optimiser.

    - *dense*: with masks, by the path that computes all tokens, if the model has one;
    - *nothing hidden*: an ordinary fine-tuning;
    - *visible*: with masks, as training does it;
    - *attack*: nothing hidden, and the gradient goes to the pixels.

    Args:
        model: a model whose windows can be hidden.
        hidden: ``[image, window]``, masks as training draws them.
        images: ``[image, channel, height, width]``.
        labels: long ``[image]``.
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
        Way("training, dense", trained(model.classify, hidden, dense), n),
        Way("training, nothing hidden", trained(model.classify_visible, nothing, whole), n),
        Way("training, visible tokens", trained(model.classify_visible, hidden, visible), n),
        Way("attack, steps", attacked, n),
    ]
