"""AblatedViT: a Vision Transformer that sees bands of an image, the base model of a vote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import AblationKind, Ablations
from mrcert_pl.models.backbones import token_vit
from mrcert_pl.models.hiding_model import MirroringModel
from mrcert_pl.models.token_vit import TokenViT

TokenMode = Literal["drop", "mask"]
Fill = Literal["black", "mean"]


class AblatedViT(MirroringModel):
    """A timm ViT for images of which only some pixel rows and columns are visible (S-ViT, Salman et al. 2022).

    Its windows are the *bands* of :class:`mrcert_pl.geometry.Ablations`: the pixel rows, then the pixel columns.
    A pixel is hidden if its row or its column is, and is replaced by the fill colour before the patch embedding. With
    ``drop``, a token without a visible pixel is never computed; the others keep their positions. With ``mask``, all
    tokens take part. With nothing hidden it is timm's model, pooled as that one is. Labels of the two modes differ,
    so the mode, the fill, and kind and width of the ablations belong to the model and are stored in its checkpoint.

    Args:
        backbone: A timm model by its full tag, of a family that docs/backbones.md lists. The tag also decides the mean
            and standard deviation that images are normalised with; without one it is timm's default tag.
        pretrained: Whether to start from the tag's weights on the hub.
        num_classes: Number of classes.
        kind: What a vote shows.
        width: Width of the bands in px. The stride of the votes is a setting of the defender.
        token_mode: ``drop`` (S-ViT) or ``mask`` (CrossCert).
        fill: Colour of hidden pixels: ``black`` (zero, then normalised: S-ViT) or ``mean`` (normalised, then zero:
            CrossCert).
        backbone_args: Further arguments of the timm model, e.g. ``global_pool``.
        weights: Local file to start from; it takes precedence over ``pretrained``.
        head_rows: Row of each class in the head of these weights, if the classes are a subset of the old ones.
        views: Views of each mutant: ``one``, or ``flip`` for the average with the mirror image.

    Attributes:
        windows: Number of bands.
        image_px: ``(height, width)`` of the images in px.
        config: Plain values that make this model again, without the weights that it started from.

    Raises:
        ConfigurationError: for an unknown mode, fill or kind, a width that doesn't fit, a backbone without a grid of
            tokens, unavailable weights, or unfit ``head_rows``.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    def __init__(
        self,
        backbone: str = "vit_base_patch16_224.mae",
        pretrained: bool = False,
        num_classes: int = 1000,
        kind: str = "column",
        width: int = 19,
        token_mode: str = "drop",
        fill: str = "black",
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[Any] | None = None,
        views: str = "one",
    ) -> None:
        if token_mode not in get_args(TokenMode):
            raise unknown("token mode", token_mode, get_args(TokenMode))
        if fill not in get_args(Fill):
            raise unknown("fill", fill, get_args(Fill))
        if kind not in get_args(AblationKind):
            raise unknown("kind of ablation", kind, get_args(AblationKind))
        arguments = dict(backbone_args or {})
        vit, image_px = token_vit(backbone, num_classes, pretrained, weights, head_rows, **arguments)
        config = {
            "backbone": backbone,
            "kind": kind,
            "width": width,
            "token_mode": token_mode,
            "fill": fill,
            "backbone_args": arguments,
        }
        super().__init__(image_px, num_classes, vit.pretrained_cfg, config, views)
        self.vit = TokenViT(vit, image_px)
        self.new_head = vit.new_head
        self.kind = kind
        self.width = width
        self.token_mode = token_mode
        self.fill = fill
        self.windows = sum(self.image_px)
        self.ablations()

    def ablations(self, stride: int = 1) -> Ablations:
        """The ablations that this model is made for, at every ``stride``-th px."""
        return Ablations(self.image_px, self.width, stride, cast(AblationKind, self.kind))

    @property
    def blocks(self) -> Any:
        """The transformer blocks."""
        return self.vit.blocks

    @property
    def residual_blocks(self) -> tuple[nn.Module, ...]:
        """Blocks in order of depth, for stochastic depth."""
        return tuple(self.vit.blocks)

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay (timm's name)."""
        return {f"vit.{name}" for name in self.vit.undecayed()}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: the embedding, each block, the last norm with the last of them."""
        return {
            "stem": r"^vit\.(?:cls_token|dist_token|reg_token|pos_embed|patch_embed|embeds|norm_pre|rope|rel_pos_bias)",
            "blocks": [(r"^vit\.blocks\.(\d+)", None), (r"^vit\.(?:fc_)?norm\.", (99999,))],
        }

    def encode_view(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token 3 rows columns"]:
        """Normalised pixels by token; what a token holds depends on the pixels that its mutant hides."""
        (rows, columns), (height, width) = self.vit.token_grid, self.vit.token_px
        pixels = pixels.view(len(pixels), 3, rows, height, columns, width)
        return pixels.permute(0, 2, 4, 1, 3, 5).reshape(len(pixels), rows * columns, 3, height, width)

    def classify_view(
        self, features: Float[Tensor, "image token 3 rows columns"], hidden: Bool[Tensor, "image band"]
    ) -> Float[Tensor, "image class"]:
        """Logits with all tokens computed; with ``drop``, those without a visible pixel are kept out of attention."""
        taking_part = self._taking_part(hidden)
        token = torch.arange(taking_part.shape[1], device=hidden.device).expand(len(hidden), -1)
        x = self._embed(features, hidden, token)
        prefix = taking_part.new_ones(len(x), self.vit.prefix_tokens)
        times = torch.cat([prefix, taking_part], dim=1).to(x.dtype)
        return self.vit.read_out(self.vit.run(self._blocks, x, token, times), times)

    def classify_visible_view(
        self, features: Float[Tensor, "image token 3 rows columns"], hidden: Bool[Tensor, "image band"]
    ) -> Float[Tensor, "image class"]:
        """Logits by the fast path: images that cost the same are one call."""
        cost = self.tokens_of_view(hidden)
        groups = [(cost == count).nonzero()[:, 0] for count in cost.unique()]
        logits = [self.classify_mutants_view(features, rows, hidden[rows]) for rows in groups]
        return torch.cat(logits)[torch.cat(groups).argsort()]

    def classify_mutants_view(
        self,
        features: Float[Tensor, "image token 3 rows columns"],
        image: Int[Tensor, " mutant"],
        hidden: Bool[Tensor, "mutant band"],
    ) -> Float[Tensor, "mutant class"]:
        taking_part = self._taking_part(hidden)
        tokens = int(taking_part[0].sum())
        if bool((taking_part.sum(1) != tokens).any()):
            raise ConfigurationError("the mutants of one call must show pixels of the same number of tokens")
        token = taking_part.nonzero()[:, 1].view(len(hidden), tokens)
        x = self._embed(features[image[:, None], token], hidden, token)
        return self.vit.read_out(self.vit.run(self._blocks, x, token))

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Float[Tensor, "image class"]:
        """Logits by the fast path, with the bands ``hidden`` hidden if given."""
        if hidden is None:
            hidden = torch.zeros(len(images), self.windows, dtype=torch.bool, device=images.device)
        return self.classify_visible(self.encode(images), hidden)

    def mirrored(self, hidden: Bool[Tensor, "row band"]) -> Bool[Tensor, "row band"]:
        rows, columns = hidden.split(self.image_px, dim=1)
        return torch.cat([rows, columns.flip(1)], dim=1)

    def tokens_of_view(self, hidden: Bool[Tensor, "mutant band"]) -> Int[Tensor, " mutant"]:
        return self._taking_part(hidden).sum(1) + self.vit.prefix_tokens

    def encode_flops_of_view(self) -> int:
        return 0

    def flops_of_view(self, hidden: Bool[Tensor, "mutant band"]) -> Int[Tensor, " mutant"]:
        tokens = self.tokens_of_view(hidden)
        embedding = self.vit.embedding_flops() * (tokens - self.vit.prefix_tokens)
        return embedding + self.vit.sequence_flops(self._blocks, tokens) + self.vit.read_out_flops(tokens)

    @property
    def _blocks(self) -> range:
        return range(len(self.vit.blocks))

    def _taking_part(self, hidden: Bool[Tensor, "mutant band"]) -> Bool[Tensor, "mutant token"]:
        """The tokens that are computed."""
        rows, columns = (shown.any(2) for shown in self._shown(hidden))
        visible = (rows[:, :, None] & columns[:, None]).flatten(1)
        if not visible.any(1).all():
            raise ConfigurationError("all pixels of an image are hidden: there is nothing to classify")
        return visible if self.token_mode == "drop" else torch.ones_like(visible)

    def _shown(
        self, hidden: Bool[Tensor, "mutant band"]
    ) -> tuple[Bool[Tensor, "mutant token_row px"], Bool[Tensor, "mutant token_column px2"]]:
        """The pixel rows and the pixel columns that are visible, by token."""
        rows, columns = (~hidden).split(self.image_px, dim=1)
        height, width = self.vit.token_px
        return rows.unflatten(1, (-1, height)), columns.unflatten(1, (-1, width))

    def _embed(
        self,
        pixels: Float[Tensor, "mutant token 3 rows columns"],
        hidden: Bool[Tensor, "mutant band"],
        token: Int[Tensor, "mutant token"],
    ) -> Float[Tensor, "mutant sequence dim"]:
        """What enters the first block, for the tokens with the numbers ``token`` and their normalised pixels."""
        mutant = torch.arange(len(hidden), device=hidden.device)[:, None]
        rows, columns = self._shown(hidden)
        across = self.vit.token_grid[1]
        seen_rows, seen_columns = rows[mutant, token // across], columns[mutant, token % across]
        seen = seen_rows[:, :, None, :, None] & seen_columns[:, :, None, None, :]
        fill = -self.mean / self.std if self.fill == "black" else torch.zeros_like(self.mean)
        x = self.vit.embed_patches(torch.where(seen, pixels, fill[:, None]), token)
        return torch.cat([self.vit.prefix(len(x)), x], dim=1)
