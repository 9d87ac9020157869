"""What all Vision Transformers with hideable windows of tokens share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import BoolTensor, Tensor, nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Borders, PatchSpec, check_covering, covering_masks, window_borders
from mrcert_pl.geometry.strides import nearest_that_works
from mrcert_pl.models.flops import block_flops
from mrcert_pl.models.inputs import check_hidden, check_some_visible, normalised

# Images of a batch are sorted by what they show and padded within so many groups. More groups pad less, but each is
# smaller; four of a batch of 64 waste a few per cent of the tokens.
_GROUPS = 4


class WindowedViT(nn.Module, ABC):
    """A ViT whose patch tokens are cut into windows, and the blocks of which see the visible windows only.

    Its windows come from :meth:`encode`; the tokens of hidden ones are dropped (docs/theory.md, Theorem 14). All
    of its parts have the names that they have in timm.

    Args:
        vit: the timm model that the parts are taken from.
        window: ``(height, width)`` of a window in tokens; must divide the token grid.
        config: plain values that make this model again, without the weights that it started from.

    Attributes:
        config: plain values that make this model again.
        grid: ``(rows, columns)`` of windows. window_px: ``(height, width)`` of a window in px. windows: their number.
        image_px: ``(height, width)`` of the images.
        split: number of blocks that see one window each. prefix_tokens: those that stand before the patch tokens.

    Raises:
        ConfigurationError: for a window that doesn't divide the token grid.
    """

    mean: Tensor
    std: Tensor
    pos_embed: nn.Parameter | None
    split: int
    prefix_tokens: int

    def __init__(
        self, vit: Any, window: Sequence[int], config: Mapping[str, Any], split: int = 0, prefix_tokens: int = 1
    ) -> None:
        super().__init__()
        tokens = tuple(vit.patch_embed.grid_size)
        if len(window) != 2 or any(w < 1 or n % w for n, w in zip(tokens, window, strict=False)):
            fitting = [[w for w in range(1, n + 1) if n % w == 0] for n in tokens]
            raise ConfigurationError(
                f"a window of {tuple(window)} tokens doesn't divide the token grid {tokens} of {config['backbone']}; "
                f"heights that do: {fitting[0]}, widths: {fitting[1]}"
            )
        self.window = (int(window[0]), int(window[1]))
        self.config = {**config, "window": list(self.window)}
        self.split = split
        self.prefix_tokens = prefix_tokens
        self.num_classes = vit.num_classes
        self.grid = (tokens[0] // self.window[0], tokens[1] // self.window[1])
        self.windows = self.grid[0] * self.grid[1]
        patch_px = vit.patch_embed.patch_size
        self.window_px = (self.window[0] * patch_px[0], self.window[1] * patch_px[1])
        self.image_px = (self.grid[0] * self.window_px[0], self.grid[1] * self.window_px[1])

        self.patch_embed = vit.patch_embed
        self.cls_token = vit.cls_token
        self.pos_embed = vit.pos_embed
        self._prefix_positions = 0 if vit.no_embed_class else vit.num_prefix_tokens
        self.pos_drop = vit.pos_drop
        self.norm_pre = vit.norm_pre
        self.blocks = vit.blocks
        self.fc_norm = vit.fc_norm
        self.head_drop = vit.head_drop
        self.head = vit.head
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(vit.pretrained_cfg[name]).view(1, -1, 1, 1))

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Window features of ``[image, 3, height, width]`` in [0, 1], each from the pixels of its window alone.

        Returns:
            ``[image, window, tokens, dim]``; the window's patch tokens are the last ones.
        """

    @abstractmethod
    def _prefix(self, seen: Tensor, shown: Tensor | None) -> Tensor:
        """The tokens ``[n, prefix, dim]`` that stand before the patch tokens, for what :meth:`_logits` gets."""

    @abstractmethod
    def _read_out(self, x: Tensor, times: Tensor | None) -> Tensor:
        """Logits ``[n, class]`` of the sequences ``[n, prefix + tokens, dim]`` that leave the blocks.

        ``times`` ``[n or 1, prefix + tokens]`` says how many tokens each stands for; ``None``: itself.
        """

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        """Masks of windows that cover every placement of the patch, as bitsets.

        Raises:
            ConfigurationError: for a patch that no mask of windows covers.
        """
        masks = covering_masks(self.grid, self.window_px, patch, stride)
        check_covering(masks, self.borders, patch)
        return masks

    @property
    def borders(self) -> Borders:
        """Borders of the windows in px along both axes."""
        return window_borders(self.grid, self.window_px)

    @property
    def window_shares(self) -> Tensor:
        """Share of the image's pixels in each window, ``[window]``."""
        return torch.full((self.windows,), 1 / self.windows)

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        """The nearest settings with which all unions of ``order`` masks show something and can be counted, in words."""
        (rows, columns), (height, width) = self.grid, self.window
        tokens, token_px = (rows * height, columns * width), (self.window_px[0] // height, self.window_px[1] // width)
        given = stride if isinstance(stride, int) else max(stride)
        found = nearest_that_works(tokens, token_px, self.window, patch, order, given)
        if found is None:
            return f"no stride and no windows of {self.config['backbone']} work here"
        window, other = found
        settings = (
            f"stride={other}" if window == self.window else f"model.window=[{window[0]},{window[1]}] stride={other}"
        )
        return f"the nearest that works: {settings}"

    @property
    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation that images are normalised with, ``[1, 3, 1, 1]`` each."""
        return self.mean, self.std

    @property
    def residual_blocks(self) -> Sequence[nn.Module]:
        """Blocks in order of depth, for stochastic depth."""
        return tuple(self.blocks)

    @property
    def lrf_blocks(self) -> nn.Sequential:
        """The blocks after the first ``split``, which see all visible windows together (large receptive field)."""
        return self.blocks[self.split :]

    def no_weight_decay(self) -> set[str]:
        """Parameters that an optimiser shouldn't decay (asked for by timm)."""
        return {"pos_embed", "cls_token", "reg_token"} & dict(self.named_parameters()).keys()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: the embedding, each block, the last norm with the last of them."""
        return {
            "stem": r"^(?:cls_token|reg_token|pos_embed|patch_embed|norm_pre)",
            "blocks": [(r"^blocks\.(\d+)", None), (r"^(?:fc_)?norm\.", (99999,))],
        }

    def _embed(self, images: Tensor) -> Tensor:
        """Embedded patches with their positions, window by window: ``[image, window, tokens, dim]``."""
        tokens = self.patch_embed(normalised(images, self.image_px, self.mean, self.std))
        if self.pos_embed is not None:
            tokens = tokens + self.pos_embed[:, self._prefix_positions :]
        tokens = self.norm_pre(self.pos_drop(tokens))
        n, _, dim = tokens.shape
        (rows, columns), (height, width) = self.grid, self.window
        tokens = tokens.view(n, rows, height, columns, width, dim).transpose(2, 3)
        return tokens.reshape(n, self.windows, height * width, dim)

    def classify(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Logits ``[image, class]`` with the windows ``hidden`` ``[image, window]`` hidden, any number each.

        Raises:
            ConfigurationError: if all windows of an image are hidden, or the shapes don't fit.
        """
        return self.classify_visible(features, hidden)

    def classify_visible(self, features: Tensor, hidden: Tensor) -> Tensor:
        """What :meth:`classify` gives, from the visible tokens alone: for training with masks of its own per image.

        The images are sorted by how much they show and padded within a few groups; padding is kept out of attention
        and average.
        """
        check_hidden(hidden, len(features), self.windows)
        check_some_visible(hidden)
        visible = (~hidden).sum(1)
        order = visible.argsort(stable=True)
        logits = []
        for rows in order.chunk(1 if visible[order[0]] == visible[order[-1]] else _GROUPS):
            most = int(visible[rows].max())
            window = hidden[rows].to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
            shown = torch.arange(most, device=hidden.device) < visible[rows, None]
            logits.append(self._logits(features[rows[:, None], window], None if shown.all() else shown))
        return torch.cat(logits)[order.argsort()]

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: BoolTensor) -> Tensor:
        """Logits ``[mutant, class]`` of mutants that show equally much, which need no padding: the fast path.

        Args:
            features: from :meth:`encode`.
            image: long ``[mutant]``, the image that each mutant is made from.
            hidden: ``[mutant, window]``; every row must hide the same number of windows, and not all.
        """
        return self._logits(features[image[:, None], self._visible_windows(image, hidden)], None)

    def mutant_tokens(self, hidden: BoolTensor) -> Tensor:
        """Tokens that each mutant has in the LRF blocks, long ``[mutant]``, for ``hidden`` ``[mutant, window]``."""
        return (~hidden).sum(1) * self.window[0] * self.window[1] + self.prefix_tokens

    def encode_flops(self) -> int:
        """Floating point operations of :meth:`encode`, for one image."""
        per_window = self.window[0] * self.window[1]
        embedding = 2 * self.patch_embed.proj.weight.numel() * self.windows * per_window
        return embedding + self.windows * block_flops(self.blocks[: self.split], self.prefix_tokens + per_window)

    def mutant_flops(self, hidden: BoolTensor) -> Tensor:
        """Those of :meth:`classify_mutants`, long ``[mutant]``, for ``hidden`` ``[mutant, window]``."""
        return block_flops(self.lrf_blocks, self.mutant_tokens(hidden)) + 2 * self.head.weight.numel()

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Logits ``[image, class]``, with the windows ``hidden`` ``[image, window]`` hidden if given."""
        features = self.encode(images)
        if hidden is None:
            hidden = torch.zeros(features.shape[:2], dtype=torch.bool, device=features.device)
        return self.classify(features, hidden)

    def _logits(self, seen: Tensor, shown: Tensor | None) -> Tensor:
        """Logits ``[n, class]`` of windows ``[n, k, tokens, dim]``; those not ``shown`` ``[n, k]`` are padding."""
        x, times = self._sequence(seen, shown)
        # A token that stands for m equal ones attracts attention like one whose key has a bias of ln m.
        bias = None if times is None else times.log()[:, None, None, :]
        for block in self.lrf_blocks:
            x = block(x, attn_mask=bias)
        return self._read_out(x, times)

    def _sequence(self, seen: Tensor, shown: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The sequences ``[n, prefix + tokens, dim]`` that enter the blocks, and ``times`` as in :meth:`_read_out`."""
        if shown is not None:
            # Not a product: a hidden window may hold numbers that are not finite.
            seen = seen.masked_fill(~shown[:, :, None, None], 0.0)
        per_window = self.window[0] * self.window[1]
        prefix = self._prefix(seen, shown)
        x = torch.cat([prefix, seen[:, :, -per_window:].flatten(1, 2)], dim=1)
        if shown is None:
            return x, None
        return x, torch.cat(
            [x.new_ones(prefix.shape[:2]), shown.to(x.dtype).repeat_interleave(per_window, dim=1)], dim=1
        )

    def _visible_windows(self, image: Tensor, hidden: Tensor) -> Tensor:
        """Long ``[mutant, visible]``: the visible windows of mutants that show equally many."""
        check_hidden(hidden, len(image), self.windows)
        shown = int((~hidden[0]).sum())
        if shown == 0 or bool((hidden.sum(1) != self.windows - shown).any()):
            raise ConfigurationError("the mutants of one call must show the same number of windows, at least one")
        return (~hidden).nonzero()[:, 1].view(len(hidden), shown)


def average(tokens: Tensor, times: Tensor | None = None) -> Tensor:
    """Average ``[n, dim]`` of ``[n, tokens, dim]``, each counted ``times`` ``[n or 1, tokens]``; ``None``: once."""
    if times is None:
        return tokens.mean(1)
    return (tokens * times[:, :, None]).sum(1) / times.sum(1, keepdim=True)
