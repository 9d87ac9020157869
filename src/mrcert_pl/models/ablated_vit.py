"""AblatedViT: a Vision Transformer that sees bands of an image, the base model of a vote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import BoolTensor, Tensor, nn

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import AblationKind, Ablations
from mrcert_pl.models.backbones import token_vit
from mrcert_pl.models.flops import block_flops
from mrcert_pl.models.inputs import check_hidden, normalised

TokenMode = Literal["drop", "mask"]
Fill = Literal["black", "mean"]


class AblatedViT(nn.Module):
    """A timm ViT for images of which only some pixel rows and columns are visible (S-ViT, Salman et al. 2022).

    Its windows are the *bands* of :class:`mrcert_pl.geometry.Ablations`: the pixel rows, then the pixel columns.
    A pixel is hidden if its row or its column is, and is replaced by the fill colour before the patch embedding. With
    ``drop``, a token without a visible pixel is never computed; the others keep their positions. With ``mask``, all
    tokens take part. With nothing hidden it is timm's model, pooled as that one is. Labels of the two modes differ,
    so the mode, the fill, and kind and width of the ablations belong to the model and are stored in its checkpoint.

    Args:
        backbone: a timm ViT by its full tag. The tag also decides the mean and standard deviation that images are
            normalised with; without one it is timm's default tag.
        pretrained: start from the tag's weights, from the hub.
        num_classes: outputs of the head.
        kind: what a vote shows. width: width of the bands in px. The distance of the votes is the defender's.
        token_mode: ``drop`` (S-ViT) or ``mask`` (CrossCert).
        fill: colour of hidden pixels: ``black`` (zero, then normalised: S-ViT) or ``mean`` (normalised, then zero:
            CrossCert).
        backbone_args: further arguments of the timm model, e.g. ``global_pool``.
        weights: start from the weights in this local file, whatever ``pretrained`` says.
        head_rows: for each class its row in the head of these weights, if the new classes are a subset of the old.

    Attributes:
        windows: number of bands. image_px: ``(height, width)`` of the images.
        config: plain values that make this model again, without the weights that it started from.

    Raises:
        ConfigurationError: for an unknown mode, fill or kind, a width that doesn't fit, a backbone without a grid of
            tokens, weights that can't be had, or unfit ``head_rows``.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    mean: Tensor
    std: Tensor
    vit: Any

    def __init__(
        self,
        backbone: str = "vit_base_patch16_224.mae",
        pretrained: bool = False,
        num_classes: int = 1000,
        kind: AblationKind = "column",
        width: int = 19,
        token_mode: TokenMode = "drop",
        fill: Fill = "black",
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if token_mode not in get_args(TokenMode):
            raise unknown("token mode", token_mode, get_args(TokenMode))
        if fill not in get_args(Fill):
            raise unknown("fill", fill, get_args(Fill))
        vit: Any = token_vit(backbone, num_classes, pretrained, weights, head_rows, **(backbone_args or {}))
        self.vit = vit
        self.config = {
            "backbone": backbone,
            "num_classes": num_classes,
            "kind": kind,
            "width": width,
            "token_mode": token_mode,
            "fill": fill,
            "backbone_args": dict(backbone_args or {}),
        }
        self.kind = kind
        self.width = width
        self.token_mode = token_mode
        self.fill = fill
        self.num_classes = num_classes
        self._grid = tuple(vit.patch_embed.grid_size)
        self._token_px = tuple(vit.patch_embed.patch_size)
        self.image_px = (self._grid[0] * self._token_px[0], self._grid[1] * self._token_px[1])
        self.windows = sum(self.image_px)
        self.ablations()
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(vit.pretrained_cfg[name]).view(1, -1, 1, 1))

    def ablations(self, stride: int = 1) -> Ablations:
        """The ablations that this model is made for, at every ``stride``-th px."""
        return Ablations(self.image_px, self.width, stride, self.kind)

    @property
    def blocks(self) -> nn.Sequential:
        """The transformer blocks."""
        return self.vit.blocks

    @property
    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation that images are normalised with, ``[1, 3, 1, 1]`` each."""
        return self.mean, self.std

    @property
    def residual_blocks(self) -> Sequence[nn.Module]:
        """Blocks in order of depth, for stochastic depth."""
        return tuple(self.blocks)

    def no_weight_decay(self) -> set[str]:
        """Parameters that an optimiser shouldn't decay (asked for by timm)."""
        return {"vit.pos_embed", "vit.cls_token", "vit.reg_token"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: the embedding, each block, the last norm with the last of them."""
        return {
            "stem": r"^vit\.(?:cls_token|reg_token|pos_embed|patch_embed|norm_pre)",
            "blocks": [(r"^vit\.blocks\.(\d+)", None), (r"^vit\.(?:fc_)?norm\.", (99999,))],
        }

    def encode(self, images: Tensor) -> Tensor:
        """Normalised pixels by token, ``[image, token, 3, height, width]``, of ``[image, 3, height, width]`` in [0, 1].

        Nothing more can be shared: what a token holds depends on the pixels that its mutant hides.
        """
        (rows, columns), (height, width) = self._grid, self._token_px
        pixels = normalised(images, self.image_px, self.mean, self.std)
        pixels = pixels.view(len(images), 3, rows, height, columns, width)
        return pixels.permute(0, 2, 4, 1, 3, 5).reshape(len(images), rows * columns, 3, height, width)

    def classify(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Logits ``[image, class]`` with the bands ``hidden`` ``[image, band]`` hidden: the dense reference path.

        All tokens are computed; with ``drop``, those without a visible pixel are kept out of attention and average.

        Raises:
            ConfigurationError: if an image shows no pixel, or the shapes don't fit.
        """
        counted = self._counted(hidden, len(features))
        everything = torch.arange(counted.shape[1], device=hidden.device).expand(len(features), -1)
        x = self._embed(features, hidden, everything)
        prefix = x.shape[1] - counted.shape[1]
        counted = torch.cat([counted.new_ones(len(x), prefix), counted], dim=1)
        for block in self.blocks:
            x = block(x, attn_mask=counted[:, None, None, :])
        x = self.vit.norm(x)
        if self.vit.global_pool == "token":
            pooled = x[:, 0]
        else:
            first = 0 if self.vit.pool_include_prefix else prefix
            pooled = (x * counted[:, :, None])[:, first:].sum(1) / counted[:, first:].sum(1, keepdim=True)
        return self.vit.head(self.vit.head_drop(self.vit.fc_norm(pooled)))

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: BoolTensor) -> Tensor:
        """Logits ``[mutant, class]``, from the embedding on of the tokens that count alone: the fast path.

        Args:
            features: from :meth:`encode`.
            image: long ``[mutant]``, the image that each mutant is made from.
            hidden: ``[mutant, band]``; every row must show pixels of the same number of tokens, unless all count.
        """
        counted = self._counted(hidden, len(image))
        tokens = int(counted[0].sum())
        if bool((counted.sum(1) != tokens).any()):
            raise ConfigurationError("the mutants of one call must show pixels of the same number of tokens")
        token = counted.nonzero()[:, 1].view(len(hidden), tokens)
        x = self._embed(features[image[:, None], token], hidden, token)
        for block in self.blocks:
            x = block(x)
        return self.vit.forward_head(self.vit.norm(x))

    def mutant_tokens(self, hidden: BoolTensor) -> Tensor:
        """Tokens that each mutant costs, long ``[mutant]``, for ``hidden`` ``[mutant, band]``."""
        return self._counted(hidden, len(hidden)).sum(1) + self.vit.num_prefix_tokens

    def encode_flops(self) -> int:
        """Floating point operations of :meth:`encode`, for one image: none that count."""
        return 0

    def mutant_flops(self, hidden: BoolTensor) -> Tensor:
        """Those of :meth:`classify_mutants`, long ``[mutant]``, for ``hidden`` ``[mutant, band]``."""
        tokens = self.mutant_tokens(hidden)
        embedding = 2 * self.vit.patch_embed.proj.weight.numel() * (tokens - self.vit.num_prefix_tokens)
        return embedding + block_flops(self.blocks, tokens) + 2 * self.vit.head.weight.numel()

    def classify_visible(self, features: Tensor, hidden: Tensor) -> Tensor:
        """What :meth:`classify` gives, by the fast path: images that cost the same are one call."""
        cost = self.mutant_tokens(hidden)  # type: ignore[arg-type]
        groups = [(cost == count).nonzero()[:, 0] for count in cost.unique()]
        logits = [self.classify_mutants(features, rows, hidden[rows]) for rows in groups]  # type: ignore[arg-type]
        return torch.cat(logits)[torch.cat(groups).argsort()]

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Logits ``[image, class]`` by the fast path, with the bands ``hidden`` ``[image, band]`` hidden if given."""
        if hidden is None:
            hidden = torch.zeros(len(images), self.windows, dtype=torch.bool, device=images.device)
        return self.classify_visible(self.encode(images), hidden)

    def _counted(self, hidden: Tensor, images: int) -> Tensor:
        """``[mutant, token]``: the tokens that take part."""
        check_hidden(hidden, images, self.windows)
        rows, columns = (seen.any(2) for seen in self._shown(hidden))
        visible = (rows[:, :, None] & columns[:, None]).flatten(1)
        if not visible.any(1).all():
            raise ConfigurationError("all pixels of an image are hidden: there is nothing to classify")
        return visible if self.token_mode == "drop" else torch.ones_like(visible)

    def _shown(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The pixel rows ``[mutant, row of tokens, px]``, and columns, that are visible."""
        rows, columns = (~hidden).split(self.image_px, dim=1)
        return rows.unflatten(1, (-1, self._token_px[0])), columns.unflatten(1, (-1, self._token_px[1]))

    def _embed(self, pixels: Tensor, hidden: Tensor, token: Tensor) -> Tensor:
        """What enters the first block, for the tokens numbered ``token`` and their pixels.

        Args:
            pixels: ``[mutant, token, 3, height, width]``, normalised.
            hidden: ``[mutant, band]``.
            token: long ``[mutant, token]``.
        """
        vit, mutant = self.vit, torch.arange(len(hidden), device=hidden.device)[:, None]
        rows, columns = self._shown(hidden)
        seen_rows, seen_columns = rows[mutant, token // self._grid[1]], columns[mutant, token % self._grid[1]]
        seen = seen_rows[:, :, None, :, None] & seen_columns[:, :, None, None, :]
        fill = -self.mean / self.std if self.fill == "black" else torch.zeros_like(self.mean)
        pixels = torch.where(seen, pixels, fill[:, None])
        # A convolution whose stride is its size, as one product.
        projection = vit.patch_embed.proj
        x = vit.patch_embed.norm(F.linear(pixels.flatten(2), projection.weight.flatten(1), projection.bias))
        prefix = [part.expand(len(x), -1, -1) for part in (vit.cls_token, vit.reg_token) if part is not None]
        if vit.pos_embed is not None:
            first = 0 if vit.no_embed_class else vit.num_prefix_tokens
            x = x + vit.pos_embed[0, first:][token]
            if prefix and first:
                prefix = [torch.cat(prefix, dim=1) + vit.pos_embed[:, :first]]
        return vit.norm_pre(vit.pos_drop(torch.cat([*prefix, x], dim=1)))
