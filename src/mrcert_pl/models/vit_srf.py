"""ViT-SRF: a Vision Transformer whose first blocks see one window each (PatchCURE's and MRCert's base model)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import BoolTensor, Tensor, nn

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.models.backbones import plain_vit

HeadOrder = Literal["pool_norm", "norm_pool"]


class ViTSRF(nn.Module):
    """A ViT cut at a secure layer: small receptive fields (SRF) before it, the whole image (LRF) after it.

    ``encode`` embeds the image, cuts its tokens into windows, prepends the class token (without a position) to
    every window and runs the first ``split`` blocks on each window alone. ``classify`` hides windows by setting
    all their tokens to zero, takes the mean class token of the visible windows as the image's, and runs the other
    blocks on everything; the zero tokens stay in. Labels come from the average over all patch tokens
    (PatchCURE, Xiang et al. 2024).

    The masked tokens stay equal to each other in all later blocks, so ``classify_mutants`` carries them as one
    (docs/theory.md, Theorem 5): the same function, at the cost of the visible tokens.

    Args:
        backbone: a plain timm ViT by its full tag. The tag also decides the mean and standard deviation that images
            are normalised with, wherever the weights come from; without one it is timm's default tag.
        pretrained: start from the tag's weights, from the hub.
        num_classes: outputs of the head.
        window: ``(height, width)`` of a window in tokens; must divide the token grid.
        split: number of SRF blocks, 0 to the depth of the backbone.
        head_order: ``pool_norm`` (average, then norm: timm and MAE) or ``norm_pool`` (PatchCURE's checkpoints).
        backbone_args: further arguments of the timm model.
        weights: start from the weights in this local file, whatever ``pretrained`` says.
        head_rows: for each class its row in the head of these weights, if the new classes are a subset of the old.

    Attributes:
        grid: ``(rows, columns)`` of windows. window_px: ``(height, width)`` of a window in px. windows: their number.
        image_px: ``(height, width)`` of the images.
        config: plain values that make this model again, without the weights that it started from.

    Raises:
        ConfigurationError: for a window that doesn't divide the token grid, a split out of range, an unknown head
            order, a backbone that is not a plain ViT, weights that can't be had, or unfit ``head_rows``.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    mean: Tensor
    std: Tensor
    cls_token: nn.Parameter
    pos_embed: nn.Parameter

    def __init__(
        self,
        backbone: str = "vit_base_patch16_224.mae",
        pretrained: bool = False,
        num_classes: int = 1000,
        window: Sequence[int] = (14, 1),
        split: int = 6,
        head_order: HeadOrder = "pool_norm",
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if head_order not in get_args(HeadOrder):
            raise unknown("head order", head_order, get_args(HeadOrder))
        vit: Any = plain_vit(backbone, num_classes, pretrained, weights, head_rows, **(backbone_args or {}))
        tokens = tuple(vit.patch_embed.grid_size)
        if len(window) != 2 or any(w < 1 or n % w for n, w in zip(tokens, window, strict=False)):
            fitting = [[w for w in range(1, n + 1) if n % w == 0] for n in tokens]
            raise ConfigurationError(
                f"a window of {tuple(window)} tokens doesn't divide the token grid {tokens} of {backbone}; "
                f"heights that do: {fitting[0]}, widths: {fitting[1]}"
            )
        if not 0 <= split <= len(vit.blocks):
            raise ConfigurationError(f"split must be from 0 to the {len(vit.blocks)} blocks of {backbone}, not {split}")

        self.config = {
            "backbone": backbone,
            "num_classes": num_classes,
            "window": [int(w) for w in window],
            "split": split,
            "head_order": head_order,
            "backbone_args": dict(backbone_args or {}),
        }
        self.window = (int(window[0]), int(window[1]))
        self.split = split
        self.head_order = head_order
        self.num_classes = num_classes
        self.grid = (tokens[0] // self.window[0], tokens[1] // self.window[1])
        self.windows = self.grid[0] * self.grid[1]
        patch_px = vit.patch_embed.patch_size
        self.window_px = (self.window[0] * patch_px[0], self.window[1] * patch_px[1])
        self.image_px = (self.grid[0] * self.window_px[0], self.grid[1] * self.window_px[1])

        self.patch_embed = vit.patch_embed
        self.cls_token = vit.cls_token
        self.pos_embed = vit.pos_embed
        self._position_of_cls = not vit.no_embed_class
        self.pos_drop = vit.pos_drop
        self.norm_pre = vit.norm_pre
        self.blocks = vit.blocks
        self.fc_norm = vit.fc_norm
        self.head_drop = vit.head_drop
        self.head = vit.head
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(vit.pretrained_cfg[name]).view(1, -1, 1, 1))

    @property
    def srf_blocks(self) -> nn.Sequential:
        """The blocks before the secure layer, which see one window each."""
        return self.blocks[: self.split]

    @property
    def lrf_blocks(self) -> nn.Sequential:
        """The blocks after the secure layer, which see all windows."""
        return self.blocks[self.split :]

    def no_weight_decay(self) -> set[str]:
        """Parameters that an optimiser shouldn't decay (asked for by timm)."""
        return {"pos_embed", "cls_token"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: the embedding, each block, the last norm with the last of them."""
        return {
            "stem": r"^cls_token|pos_embed|patch_embed|norm_pre",
            "blocks": [(r"^blocks\.(\d+)", None), (r"^fc_norm", (99999,))],
        }

    def encode(self, images: Tensor) -> Tensor:
        """Window features ``[image, window, 1 + tokens, dim]`` of ``[image, 3, height, width]`` in [0, 1].

        The first token of a window is its class token. A window's features depend on its own pixels alone.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *self.image_px) or not images.is_floating_point():
            raise ConfigurationError(
                f"images must be floats in [0, 1] of the shape [image, 3, {self.image_px[0]}, {self.image_px[1]}], "
                f"not {images.dtype} {list(images.shape)}"
            )
        tokens = self.patch_embed((images - self.mean) / self.std)
        position = self.pos_embed[:, 1:] if self._position_of_cls else self.pos_embed
        tokens = self.norm_pre(self.pos_drop(tokens + position))

        n, _, dim = tokens.shape
        (rows, columns), (height, width) = self.grid, self.window
        tokens = tokens.view(n, rows, height, columns, width, dim).transpose(2, 3)
        tokens = tokens.reshape(n * self.windows, height * width, dim)
        features = torch.cat([self.norm_pre(self.cls_token).expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.srf_blocks:
            features = block(features)
        return features.view(n, self.windows, 1 + height * width, dim)

    def classify(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Logits ``[image, class]`` with the windows ``hidden`` ``[image, window]`` hidden: the dense reference path.

        Raises:
            ConfigurationError: if all windows of an image are hidden, or the shapes don't fit.
        """
        if hidden.shape != features.shape[:2]:
            raise ConfigurationError(f"hidden must be {list(features.shape[:2])}, not {list(hidden.shape)}")
        if hidden.all(1).any():
            raise ConfigurationError("all windows of an image are hidden: there is nothing to classify")
        n, dim = len(features), features.shape[3]
        features = features.masked_fill(hidden[:, :, None, None], 0.0)
        cls = features[:, :, 0].sum(1, keepdim=True) / (~hidden).sum(1)[:, None, None]

        (rows, columns), (height, width) = self.grid, self.window
        tokens = features[:, :, 1:].reshape(n, rows, columns, height, width, dim).transpose(2, 3)
        x = torch.cat([cls, tokens.reshape(n, -1, dim)], dim=1)
        for block in self.lrf_blocks:
            x = block(x)
        tokens = x[:, 1:]
        if self.head_order == "norm_pool":
            return self.head(self.head_drop(self.fc_norm(tokens).mean(1)))
        return self.head(self.head_drop(self.fc_norm(tokens.mean(1))))

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: BoolTensor) -> Tensor:
        """Logits ``[mutant, class]`` with all masked tokens of a mutant carried as one: the fast path.

        ``m`` equal tokens attract attention like one whose key has a bias of ``ln m``, and count ``m`` times in the
        average (docs/theory.md, Theorem 5).

        Args:
            features: ``[image, window, 1 + tokens, dim]`` from :meth:`encode`.
            image: long ``[mutant]``, the image that each mutant is made from.
            hidden: ``[mutant, window]``; every row must hide the same number of windows, and not all.
        """
        if hidden.shape != (len(image), self.windows):
            raise ConfigurationError(f"hidden must be {[len(image), self.windows]}, not {list(hidden.shape)}")
        shown = int((~hidden[0]).sum())
        if shown == 0 or bool((hidden.sum(1) != self.windows - shown).any()):
            raise ConfigurationError("the mutants of one call must show the same number of windows, at least one")
        n, (dim, per_window) = len(hidden), (features.shape[3], features.shape[2] - 1)
        window = (~hidden).nonzero()[:, 1].view(n, shown)
        seen = features[image[:, None], window]
        merged = (self.windows - shown) * per_window

        parts = [seen[:, :, 0].mean(1, keepdim=True), seen[:, :, 1:].reshape(n, shown * per_window, dim)]
        bias = None
        if merged:
            parts.append(features.new_zeros(n, 1, dim))
            bias = features.new_zeros(1, 1, 1, 2 + shown * per_window)
            bias[..., -1] = math.log(merged)
        x = torch.cat(parts, dim=1)
        for block in self.lrf_blocks:
            x = block(x, attn_mask=bias)
        tokens = self.fc_norm(x) if self.head_order == "norm_pool" else x
        total = tokens[:, 1 : 1 + shown * per_window].sum(1)
        if merged:
            total = total + merged * tokens[:, -1]
        pooled = total / (self.windows * per_window)
        return self.head(self.head_drop(pooled if self.head_order == "norm_pool" else self.fc_norm(pooled)))

    def mutant_tokens(self, hidden: BoolTensor) -> Tensor:
        """Tokens that each mutant has in the LRF blocks, long ``[mutant]``, for ``hidden`` ``[mutant, window]``."""
        visible = (~hidden).sum(1)
        return visible * self.window[0] * self.window[1] + 1 + (visible < self.windows)

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Logits ``[image, class]``, with the windows ``hidden`` ``[image, window]`` hidden if given."""
        features = self.encode(images)
        if hidden is None:
            hidden = torch.zeros(features.shape[:2], dtype=torch.bool, device=features.device)
        return self.classify(features, hidden)
