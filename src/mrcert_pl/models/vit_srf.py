"""ViT-SRF: a Vision Transformer whose first blocks see one window each (PatchCURE's and MRCert's base model)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.models.backbones import averaging_vit
from mrcert_pl.models.token_vit import average
from mrcert_pl.models.windowed_vit import WindowedViT

HeadOrder = Literal["pool_norm", "norm_pool"]
HiddenTokens = Literal["zero", "drop"]


class ViTSRF(WindowedViT):
    """A ViT cut at a secure layer: small receptive fields (SRF) before it, the whole image (LRF) after it.

    ``encode`` embeds the image, cuts its tokens into windows, prepends the class token (without a position) to
    every window and runs the first ``split`` blocks on each window alone. ``classify`` hides windows by setting
    all their tokens to zero, takes the mean class token of the visible windows as the image's, and runs the other
    blocks on everything; the zero tokens stay in. Labels come from the average over all patch tokens
    (PatchCURE, Xiang et al. 2024). Registers are treated as the class token is.

    The masked tokens stay equal to each other in all later blocks, so ``classify_mutants`` and ``classify_visible``
    carry ``m`` of them as one, whose key has a bias of ``ln m`` and which counts ``m`` times in the average
    (docs/theory.md, Theorem 5): the same function, at the cost of the visible tokens. With ``hidden_tokens="drop"``
    they don't enter the later blocks at all, and the average is over the visible tokens (Theorem 14); with that and no
    SRF blocks it is a :class:`~mrcert_pl.models.MaskedViT` with average pooling whose class token has no position.

    Theorem 5 needs blocks without positions: rotary positions, and biases by relative position, tell equal tokens
    apart. Such a backbone takes ``hidden_tokens="drop"``.

    Args:
        backbone: A timm model by its full tag, of a family that docs/backbones.md lists. The tag also decides the mean
            and standard deviation that images are normalised with, wherever the weights come from; without one it is
            timm's default tag.
        pretrained: Whether to start from the tag's weights on the hub.
        num_classes: Number of classes.
        window: ``(height, width)`` of a window in tokens; must divide the token grid.
        split: Number of SRF blocks, 0 to the depth of the backbone.
        head_order: ``pool_norm`` (average, then norm: timm and MAE) or ``norm_pool`` (PatchCURE's checkpoints).
        backbone_args: Further arguments of the timm model.
        weights: Local file to start from; it takes precedence over ``pretrained``.
        head_rows: Row of each class in the head of these weights, if the classes are a subset of the old ones.
        hidden_tokens: What replaces the tokens of hidden windows: ``zero`` (the paper), or nothing (``drop``).
        views: Views of each mutant: ``one``, or ``flip`` for the average with the mirror image.
        hidden: Earlier name of ``hidden_tokens``; refused.

    Raises:
        ConfigurationError: for a window that doesn't divide the token grid, a split out of range, an unknown head
            order or ``hidden_tokens``, ``hidden_tokens="zero"`` with positions in the blocks, a backbone without a
            grid of tokens, unavailable weights, or unfit ``head_rows``.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    def __init__(
        self,
        backbone: str = "vit_base_patch16_224.mae",
        pretrained: bool = False,
        num_classes: int = 1000,
        window: Sequence[int] = (14, 1),
        split: int = 6,
        head_order: str = "pool_norm",
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[Any] | None = None,
        hidden_tokens: str = "zero",
        views: str = "one",
        hidden: object = None,
    ) -> None:
        if hidden is not None:
            raise ConfigurationError(
                f"model.hidden is called model.hidden_tokens now; give model.hidden_tokens={hidden}"
            )
        if head_order not in get_args(HeadOrder):
            raise unknown("head order", head_order, get_args(HeadOrder))
        if hidden_tokens not in get_args(HiddenTokens):
            raise unknown("hidden_tokens", hidden_tokens, get_args(HiddenTokens))
        arguments = dict(backbone_args or {})
        vit, image_px = averaging_vit(backbone, num_classes, pretrained, weights, head_rows, **arguments)
        if not 0 <= split <= len(vit.blocks):
            raise ConfigurationError(f"split must be from 0 to the {len(vit.blocks)} blocks of {backbone}, not {split}")
        config = {
            "backbone": backbone,
            "split": split,
            "head_order": head_order,
            "hidden_tokens": hidden_tokens,
            "backbone_args": arguments,
        }
        super().__init__(vit, image_px, window, config, views, split)
        if hidden_tokens == "zero" and self.positions_in_blocks:
            raise ConfigurationError(
                f"the blocks of {backbone} use positions, so that zero tokens at different positions differ and can't "
                "be merged (docs/theory.md, Theorem 5); give model.hidden_tokens=drop"
            )
        self.hidden_tokens = hidden_tokens
        self.head_order = head_order

    @property
    def srf_blocks(self) -> Any:
        """The blocks before the secure layer, which see one window each."""
        return self.blocks[: self.split]

    def encode_view(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image window token dim"]:
        """Window features of normalised images, each a function of the window's own pixels.

        The first tokens of a window are its prefix tokens.
        """
        tokens = self.embed_windows(pixels)
        n, windows = tokens.shape[:2]
        prefix = self.prefix(n * windows, positions=False)
        features = torch.cat([prefix, tokens.flatten(0, 1)], dim=1)
        features = self.run(range(self.split), features, self._window_tokens.repeat(n, 1))
        return features.unflatten(0, (n, windows))

    def classify_view(
        self, features: Float[Tensor, "image window token dim"], hidden: Bool[Tensor, "image window"]
    ) -> Float[Tensor, "image class"]:
        """Logits with the windows ``hidden`` hidden; zero tokens stay in, one by one."""
        if self.hidden_tokens == "drop":
            return self.classify_visible_view(features, hidden)
        features = features.masked_fill(hidden[:, :, None, None], 0.0)
        prefix = features[:, :, : self.prefix_tokens].sum(1) / (~hidden).sum(1)[:, None, None]
        # From the order of the windows to that of the token grid.
        order = self._window_tokens.flatten().argsort()
        tokens = features[:, :, self.prefix_tokens :].flatten(1, 2)[:, order]
        grid = torch.arange(self.tokens, device=tokens.device).expand(len(tokens), -1)
        x = self.run(self._lrf, torch.cat([prefix, tokens], dim=1), grid)
        return self._pooled(x, average)

    def tokens_of_view(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        tokens = super().tokens_of_view(hidden)
        return tokens if self.hidden_tokens == "drop" else tokens + hidden.any(1)

    def window_prefix(
        self, seen: Float[Tensor, "row visible token dim"], shown: Bool[Tensor, "row visible"] | None
    ) -> Float[Tensor, "row prefix dim"]:
        """The mean prefix tokens of the visible windows."""
        tokens = seen[:, :, : self.prefix_tokens]
        mean = average(tokens.flatten(2), None if shown is None else shown.to(seen.dtype))
        return mean.unflatten(1, tokens.shape[2:])

    def read_out(
        self, x: Float[Tensor, "row sequence dim"], times: Float[Tensor, "_ sequence"] | None = None
    ) -> Float[Tensor, "row class"]:
        times = None if times is None else times[:, self.prefix_tokens :]
        return self._pooled(x, lambda tokens: average(tokens, times))

    def _sequence(
        self, seen: Float[Tensor, "row visible token dim"], shown: Bool[Tensor, "row visible"] | None
    ) -> tuple[Float[Tensor, "row sequence dim"], Float[Tensor, "_ sequence"] | None]:
        x, times = super()._sequence(seen, shown)
        if self.hidden_tokens == "drop" or (shown is None and seen.shape[1] == self.windows):
            return x, times
        # The zero tokens of all hidden windows, as one.
        visible = x.new_full((1,), seen.shape[1]) if shown is None else shown.sum(1)
        merged = (self.windows - visible)[:, None] * self._window_tokens.shape[1]
        times = x.new_ones(1, x.shape[1]) if times is None else times
        return torch.cat([x, x.new_zeros(x.shape[0], 1, x.shape[2])], dim=1), torch.cat(
            [times, merged.to(x.dtype)], dim=1
        )

    def _pooled(
        self,
        x: Float[Tensor, "row sequence dim"],
        mean: Callable[[Float[Tensor, "row token dim"]], Float[Tensor, "row dim"]],
    ) -> Float[Tensor, "row class"]:
        tokens = self.norm(x)[:, self.prefix_tokens :]
        pooled = mean(self.fc_norm(tokens)) if self.head_order == "norm_pool" else self.fc_norm(mean(tokens))
        return self.head(self.head_drop(pooled))
