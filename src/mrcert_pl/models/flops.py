"""Floating point operations: of transformer blocks, from their dimensions, and of all that an image takes."""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mrcert_pl.geometry import Borders
from mrcert_pl.models.protocols import CountingModel

Count = TypeVar("Count", int, Tensor)


def block_flops(blocks: Iterable[nn.Module], tokens: Count) -> Count:
    """Operations of the matrix products in timm blocks, for sequences of this many tokens.

    A multiplication and an addition are two. Norms, activations and softmax are left out, as in
    ``torch.utils.flop_counter``.
    """
    modules = [module for block in blocks for module in block.modules()]
    linear = sum(module.weight.numel() for module in modules if isinstance(module, nn.Linear))
    attention = sum(_attention_dim(module) for module in modules)
    return 2 * linear * tokens + 4 * attention * tokens * tokens


def _attention_dim(module: Any) -> int:
    """Width of all heads of an attention layer; 0 for other layers."""
    if hasattr(module, "attn_dim"):
        return int(module.attn_dim)
    is_attention = hasattr(module, "num_heads") and isinstance(getattr(module, "proj", None), nn.Linear)
    return int(module.proj.in_features) if is_attention else 0


class TableFlops:
    """What the labels of mutants cost: an image is encoded once, then each mutant is classified.

    Args:
        model: A model that counts its operations.
        hidden: Hidden windows of each mutant.

    Attributes:
        encoding: Operations for one image.
        mutants: Operations for each mutant, double ``[mutant]``.
    """

    def __init__(self, model: CountingModel, hidden: Bool[Tensor, "mutant window"]) -> None:
        self.encoding = float(model.encode_flops())
        self.mutants = model.mutant_flops(hidden).double().cpu()

    @classmethod
    def known(cls, model: object, hidden: Bool[Tensor, "mutant window"]) -> "TableFlops | None":
        """Operations of a model that counts them; ``None`` for another."""
        return cls(model, hidden) if isinstance(model, CountingModel) else None

    def per_image(self, evaluated: Bool[Tensor, "image mutant"]) -> Float[Tensor, " image"]:
        """Operations for each image, with the evaluated mutants."""
        return self.encoding + evaluated.cpu().double() @ self.mutants


def window_fractions(borders: Borders) -> Float[Tensor, " window"]:
    """Fraction of the image's pixels in each window, row by row."""
    heights, widths = (torch.tensor(list(along), dtype=torch.float64).diff() for along in borders)
    return (heights[:, None] * widths).flatten() / (heights.sum() * widths.sum())
