"""ViT-SRF: a Vision Transformer whose first blocks see one window each (PatchCURE's and MRCert's base model)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import BoolTensor, Tensor, nn

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.models.backbones import plain_vit
from mrcert_pl.models.inputs import check_hidden, check_some_visible
from mrcert_pl.models.windowed_vit import WindowedViT, average

HeadOrder = Literal["pool_norm", "norm_pool"]
Hidden = Literal["zero", "drop"]


class ViTSRF(WindowedViT):
    """A ViT cut at a secure layer: small receptive fields (SRF) before it, the whole image (LRF) after it.

    ``encode`` embeds the image, cuts its tokens into windows, prepends the class token (without a position) to
    every window and runs the first ``split`` blocks on each window alone. ``classify`` hides windows by setting
    all their tokens to zero, takes the mean class token of the visible windows as the image's, and runs the other
    blocks on everything; the zero tokens stay in. Labels come from the average over all patch tokens
    (PatchCURE, Xiang et al. 2024).

    The masked tokens stay equal to each other in all later blocks, so ``classify_mutants`` and ``classify_visible``
    carry ``m`` of them as one, whose key has a bias of ``ln m`` and which counts ``m`` times in the average
    (docs/theory.md, Theorem 5): the same function, at the cost of the visible tokens. With ``hidden="drop"`` they
    don't enter the later blocks at all, and the average is over the visible tokens (Theorem 14); with that and no
    SRF blocks it is a :class:`~mrcert_pl.models.MaskedViT` with average pooling whose class token has no position.

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
        hidden: what becomes of the tokens of hidden windows: ``zero`` (the paper) or ``drop``.

    Raises:
        ConfigurationError: for a window that doesn't divide the token grid, a split out of range, an unknown head
            order or way to hide, a backbone that is not a plain ViT, weights that can't be had, or unfit ``head_rows``.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    cls_token: nn.Parameter

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
        hidden: Hidden = "zero",
    ) -> None:
        if head_order not in get_args(HeadOrder):
            raise unknown("head order", head_order, get_args(HeadOrder))
        if hidden not in get_args(Hidden):
            raise unknown("way to hide windows", hidden, get_args(Hidden))
        vit: Any = plain_vit(backbone, num_classes, pretrained, weights, head_rows, **(backbone_args or {}))
        if not 0 <= split <= len(vit.blocks):
            raise ConfigurationError(f"split must be from 0 to the {len(vit.blocks)} blocks of {backbone}, not {split}")
        config = {
            "backbone": backbone,
            "num_classes": num_classes,
            "split": split,
            "head_order": head_order,
            "hidden": hidden,
            "backbone_args": dict(backbone_args or {}),
        }
        super().__init__(vit, window, config, split)
        self.hidden = hidden
        self.head_order = head_order

    @property
    def srf_blocks(self) -> nn.Sequential:
        """The blocks before the secure layer, which see one window each."""
        return self.blocks[: self.split]

    def encode(self, images: Tensor) -> Tensor:
        """Window features ``[image, window, 1 + tokens, dim]`` of ``[image, 3, height, width]`` in [0, 1].

        The first token of a window is its class token. A window's features depend on its own pixels alone.
        """
        tokens = self._embed(images)
        n, windows, per_window, dim = tokens.shape
        tokens = tokens.flatten(0, 1)
        features = torch.cat([self.norm_pre(self.cls_token).expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.srf_blocks:
            features = block(features)
        return features.view(n, windows, 1 + per_window, dim)

    def classify(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Logits ``[image, class]`` with the windows ``hidden`` ``[image, window]`` hidden; zero tokens stay in.

        Raises:
            ConfigurationError: if all windows of an image are hidden, or the shapes don't fit.
        """
        if self.hidden == "drop":
            return self.classify_visible(features, hidden)
        check_hidden(hidden, len(features), self.windows)
        check_some_visible(hidden)
        n, dim = len(features), features.shape[3]
        features = features.masked_fill(hidden[:, :, None, None], 0.0)
        cls = features[:, :, 0].sum(1, keepdim=True) / (~hidden).sum(1)[:, None, None]

        (rows, columns), (height, width) = self.grid, self.window
        tokens = features[:, :, 1:].reshape(n, rows, columns, height, width, dim).transpose(2, 3)
        x = torch.cat([cls, tokens.reshape(n, -1, dim)], dim=1)
        for block in self.lrf_blocks:
            x = block(x)
        return self._pooled(x[:, 1:], average)

    def mutant_tokens(self, hidden: BoolTensor) -> Tensor:
        """Tokens that each mutant has in the LRF blocks, long ``[mutant]``, for ``hidden`` ``[mutant, window]``."""
        tokens = super().mutant_tokens(hidden)
        return tokens if self.hidden == "drop" else tokens + hidden.any(1)

    def _sequence(self, seen: Tensor, shown: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x, times = super()._sequence(seen, shown)
        if self.hidden == "drop" or (shown is None and seen.shape[1] == self.windows):
            return x, times
        # The zero tokens of all hidden windows, as one.
        visible = x.new_tensor([seen.shape[1]]) if shown is None else shown.sum(1)
        merged = (self.windows - visible)[:, None] * (self.window[0] * self.window[1])
        times = x.new_ones(1, x.shape[1]) if times is None else times
        return torch.cat([x, x.new_zeros(len(x), 1, x.shape[2])], dim=1), torch.cat([times, merged.to(x.dtype)], dim=1)

    def _prefix(self, seen: Tensor, shown: Tensor | None) -> Tensor:
        return average(seen[:, :, 0], None if shown is None else shown.to(seen.dtype))[:, None]

    def _read_out(self, x: Tensor, times: Tensor | None) -> Tensor:
        times = None if times is None else times[:, 1:]
        return self._pooled(x[:, 1:], lambda tokens: average(tokens, times))

    def _pooled(self, tokens: Tensor, mean: Callable[[Tensor], Tensor]) -> Tensor:
        pooled = mean(self.fc_norm(tokens)) if self.head_order == "norm_pool" else self.fc_norm(mean(tokens))
        return self.head(self.head_drop(pooled))
