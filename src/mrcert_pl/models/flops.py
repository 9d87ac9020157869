"""Floating point operations of transformer blocks, counted from their dimensions."""

from typing import TypeVar

from torch import Tensor, nn

Count = TypeVar("Count", int, Tensor)


def block_flops(blocks: nn.Sequential, tokens: Count) -> Count:
    """Operations of the matrix products in timm blocks, for sequences of so many tokens.

    A multiplication and an addition are two. Norms, activations and softmax are left out, as in
    ``torch.utils.flop_counter``.
    """
    linear = sum(module.weight.numel() for module in blocks.modules() if isinstance(module, nn.Linear))
    attention = sum(int(getattr(module, "attn_dim", 0)) for module in blocks.modules())
    return 2 * linear * tokens + 4 * attention * tokens * tokens
