"""Floating point operations: of transformer blocks, from their dimensions, and of all that an image takes."""

from typing import Any, TypeVar

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


class TableFlops:
    """What the labels of mutants cost: an image is encoded once, then each mutant is classified.

    Args:
        model: counts its operations (``encode_flops``, ``mutant_flops``).
        hidden: ``[mutant, window]``, the mutants.

    Attributes:
        encoding: operations for an image.
        mutants: operations for each mutant, double ``[mutant]``.
    """

    def __init__(self, model: Any, hidden: Tensor) -> None:
        self.encoding = float(model.encode_flops())
        self.mutants = model.mutant_flops(hidden).double().cpu()

    @classmethod
    def known(cls, model: Any, hidden: Tensor) -> "TableFlops | None":
        """The same, or ``None`` for a model that doesn't count."""
        return cls(model, hidden) if hasattr(model, "mutant_flops") else None

    def per_image(self, evaluated: Tensor) -> Tensor:
        """Operations for each image, double ``[image]``, with the mutants ``evaluated`` ``[image, mutant]``."""
        return self.encoding + evaluated.cpu().double() @ self.mutants
