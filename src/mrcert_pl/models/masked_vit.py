"""MaskedViT: a plain Vision Transformer that simply doesn't get the hidden tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mrcert_pl.models.backbones import token_vit
from mrcert_pl.models.windowed_vit import WindowedViT, average


class MaskedViT(WindowedViT):
    """A timm ViT whose windows are tokens, or blocks of tokens; hidden ones are dropped before the first block.

    Until then a token has seen nothing but the pixels of its own patch, so every window is as small as a token and
    masks can be rectangles of any shape. With nothing hidden it is timm's model, pooled as that one is: by
    its class token or by the average of the (visible) patch tokens.

    Args:
        backbone: a timm ViT by its full tag, with or without class token, registers or positions. The tag also
            decides the mean and standard deviation that images are normalised with; without one it is timm's
            default tag.
        pretrained: start from the tag's weights, from the hub.
        num_classes: outputs of the head.
        window: ``(height, width)`` of a window in tokens; must divide the token grid.
        backbone_args: further arguments of the timm model, e.g. ``img_size`` or ``global_pool``.
        weights: start from the weights in this local file, whatever ``pretrained`` says.
        head_rows: for each class its row in the head of these weights, if the new classes are a subset of the old.

    Raises:
        ConfigurationError: for a window that doesn't divide the token grid, a backbone without such a grid, weights
            that can't be had, or unfit ``head_rows``.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    cls_token: nn.Parameter | None
    reg_token: nn.Parameter | None

    def __init__(
        self,
        backbone: str = "vit_base_patch16_224.augreg2_in21k_ft_in1k",
        pretrained: bool = False,
        num_classes: int = 1000,
        window: Sequence[int] = (1, 1),
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[int] | None = None,
    ) -> None:
        arguments = dict(backbone_args or {})
        vit: Any = token_vit(backbone, num_classes, pretrained, weights, head_rows, **arguments)
        config = {"backbone": backbone, "num_classes": num_classes, "backbone_args": arguments}
        super().__init__(vit, window, config, prefix_tokens=vit.num_prefix_tokens)
        self.reg_token = vit.reg_token
        self.norm = vit.norm
        self._pool = vit.global_pool
        self._average_from = 0 if vit.pool_include_prefix else self.prefix_tokens

    def encode(self, images: Tensor) -> Tensor:
        """Embedded patch tokens ``[image, window, tokens, dim]`` of ``[image, 3, height, width]`` in [0, 1]."""
        return self._embed(images)

    def _prefix(self, seen: Tensor, shown: Tensor | None) -> Tensor:
        tokens: list[Tensor] = [token for token in (self.cls_token, self.reg_token) if token is not None]
        if not tokens:
            return seen.new_empty(len(seen), 0, seen.shape[3])
        prefix = torch.cat(tokens, dim=1)
        if self.pos_embed is not None and self._prefix_positions:
            prefix = prefix + self.pos_embed[:, : self._prefix_positions]
        return self.norm_pre(self.pos_drop(prefix.expand(len(seen), -1, -1)))

    def _read_out(self, x: Tensor, times: Tensor | None) -> Tensor:
        x = self.norm(x)
        if self._pool == "token":
            pooled = x[:, 0]
        else:
            first = self._average_from
            pooled = average(x[:, first:], None if times is None else times[:, first:])
        return self.head(self.head_drop(self.fc_norm(pooled)))
