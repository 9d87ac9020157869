"""MaskedViT: a Vision Transformer that doesn't get the hidden tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from mrcert_pl.models.backbones import token_vit
from mrcert_pl.models.windowed_vit import WindowedViT


class MaskedViT(WindowedViT):
    """A timm ViT whose windows are tokens, or blocks of tokens; hidden ones are dropped before the first block.

    Until then a token depends on the pixels of its own patch alone, so every window is as small as a token and
    masks can be rectangles of any shape. The visible tokens keep their positions, rotary ones and biases by relative
    position included. With nothing hidden it is timm's model, pooled as that one is: by its class token, the average
    of the (visible) patch tokens, or attention over them.

    Args:
        backbone: A timm model by its full tag, of a family that docs/backbones.md lists. The tag also
            decides the mean and standard deviation that images are normalised with; without one it is timm's
            default tag.
        pretrained: Whether to start from the tag's weights on the hub.
        num_classes: Number of classes.
        window: ``(height, width)`` of a window in tokens; must divide the token grid.
        backbone_args: Further arguments of the timm model, e.g. ``img_size`` or ``global_pool``.
        weights: Local file to start from; it takes precedence over ``pretrained``.
        head_rows: Row of each class in the head of these weights, if the classes are a subset of the old ones.
        views: Views of each mutant: ``one``, or ``flip`` for the average with the mirror image.

    Raises:
        ConfigurationError: for a window that doesn't divide the token grid, a backbone without such a grid, unavailable
            weights, or unfit ``head_rows``.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    def __init__(
        self,
        backbone: str = "vit_base_patch16_224.augreg2_in21k_ft_in1k",
        pretrained: bool = False,
        num_classes: int = 1000,
        window: Sequence[int] = (1, 1),
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[Any] | None = None,
        views: str = "one",
    ) -> None:
        arguments = dict(backbone_args or {})
        vit, image_px = token_vit(backbone, num_classes, pretrained, weights, head_rows, **arguments)
        super().__init__(vit, image_px, window, {"backbone": backbone, "backbone_args": arguments}, views)

    def encode_view(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image window token dim"]:
        """Embedded patch tokens of normalised images, window by window."""
        return self.embed_windows(pixels)

    def window_prefix(
        self, seen: Float[Tensor, "row visible token dim"], shown: Bool[Tensor, "row visible"] | None
    ) -> Float[Tensor, "row prefix dim"]:
        return self.prefix(seen.shape[0])
