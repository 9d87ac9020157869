"""WindowedViT: what all Vision Transformers with hideable windows of tokens share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Borders, PatchSpec, check_covering, covering_masks, window_borders
from mrcert_pl.geometry.strides import nearest_that_works
from mrcert_pl.models.hiding_model import MirroringModel
from mrcert_pl.models.token_vit import TokenViT

# Images of a batch are sorted by what they show and padded within this many groups. More groups pad less, but each is
# smaller; four in a batch of 64 waste a few per cent of the tokens.
_GROUPS = 4


class WindowedViT(MirroringModel, TokenViT):
    """A ViT whose patch tokens are cut into windows, and whose later blocks see the visible windows only.

    Its windows come from :meth:`encode`; the tokens of hidden ones are dropped (docs/theory.md, Theorem 14). All
    of its parts have the names that they have in timm.

    Args:
        vit: The timm model that the parts are taken from.
        image_px: ``(height, width)`` of the images in px.
        window: ``(height, width)`` of a window in tokens; must divide the token grid.
        config: Arguments of the constructor, without the weights that the model started from.
        views: Views of each mutant, see :class:`~mrcert_pl.models.hiding_model.MirroringModel`.
        split: Number of blocks that see one window each.

    Attributes:
        config: Plain values that make this model again.
        grid: ``(rows, columns)`` of windows.
        window_px: ``(height, width)`` of a window in px.
        windows: Number of windows.
        image_px: ``(height, width)`` of the images in px.
        split: Number of blocks that see one window each.
        prefix_tokens: Number of tokens in front of the patch tokens.

    Raises:
        ConfigurationError: for a window that doesn't divide the token grid.
    """

    _window_tokens: Tensor

    def __init__(
        self,
        vit: Any,
        image_px: tuple[int, int],
        window: Sequence[int],
        config: Mapping[str, Any],
        views: str,
        split: int = 0,
    ) -> None:
        config = {**config, "window": [int(side) for side in window]}
        MirroringModel.__init__(self, image_px, vit.num_classes, vit.pretrained_cfg, config, views)
        self.adopt(vit, image_px)
        self.new_head = vit.new_head
        rows, columns = self.token_grid
        if len(window) != 2 or any(w < 1 or n % w for n, w in zip(self.token_grid, window, strict=False)):
            fitting = [[w for w in range(1, n + 1) if n % w == 0] for n in self.token_grid]
            raise ConfigurationError(
                f"a window of {tuple(window)} tokens doesn't divide the token grid {self.token_grid} of "
                f"{config['backbone']}; heights that do: {fitting[0]}, widths: {fitting[1]}"
            )
        height, width = self.window = (int(window[0]), int(window[1]))
        self.grid = (rows // height, columns // width)
        self.windows = self.grid[0] * self.grid[1]
        self.window_px = (height * self.token_px[0], width * self.token_px[1])
        self.split = split
        # The numbers of the tokens of each window, in the order of the token grid.
        numbers = torch.arange(self.tokens, device="cpu").view(self.grid[0], height, self.grid[1], width)
        numbers = numbers.transpose(1, 2).reshape(self.windows, -1).contiguous()
        self.register_buffer("_window_tokens", numbers, persistent=False)

    @abstractmethod
    def window_prefix(
        self, seen: Float[Tensor, "row visible token dim"], shown: Bool[Tensor, "row visible"] | None
    ) -> Float[Tensor, "row prefix dim"]:
        """Tokens in front of the patch tokens, for windows of which those not ``shown`` are padding."""

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

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        """The nearest settings, in words, whose unions of ``order`` masks neither hide everything nor are too many."""
        given = stride if isinstance(stride, int) else max(stride)
        found = nearest_that_works(self.token_grid, self.token_px, self.window, patch, order, given)
        if found is None:
            backbone = self.config["backbone"]
            return f"no stride and no windows of {backbone} work here, so a smaller patch or fewer patches remain"
        window, other = found
        windows = "" if window == self.window else f"model.window=[{window[0]},{window[1]}] "
        return f"the nearest that works: {windows}stride={other}"

    @property
    def residual_blocks(self) -> tuple[nn.Module, ...]:
        """Blocks in order of depth, for stochastic depth."""
        return tuple(self.blocks)

    @property
    def lrf_blocks(self) -> Any:
        """The blocks after the first ``split``, which see all visible windows together (large receptive field)."""
        return self.blocks[self.split :]

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay (timm's name)."""
        return self.undecayed()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: the embedding, each block, the last norm with the last of them."""
        return {
            "stem": r"^(?:cls_token|dist_token|reg_token|pos_embed|patch_embed|embeds|norm_pre|rope|rel_pos_bias)",
            "blocks": [(r"^blocks\.(\d+)", None), (r"^(?:fc_)?norm\.", (99999,))],
        }

    def embed_windows(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image window token dim"]:
        """Patch tokens of normalised images as they enter the first block, window by window."""
        return self.embed(pixels)[:, self._window_tokens]

    def classify_view(
        self, features: Float[Tensor, "image window token dim"], hidden: Bool[Tensor, "image window"]
    ) -> Float[Tensor, "image class"]:
        return self.classify_visible_view(features, hidden)

    def classify_visible_view(
        self, features: Float[Tensor, "image window token dim"], hidden: Bool[Tensor, "image window"]
    ) -> Float[Tensor, "image class"]:
        """Logits of :meth:`classify`, from the visible tokens alone.

        The images are sorted by how much they show and padded within a few groups; padding is kept out of attention
        and average.
        """
        visible = (~hidden).sum(1)
        order = visible.argsort(stable=True)
        groups = 1 if visible[order[0]] == visible[order[-1]] else _GROUPS
        logits = []
        for rows in order.chunk(groups):
            most = int(visible[rows].max())
            window = visible_first(hidden[rows])[:, :most]
            shown = torch.arange(most, device=hidden.device) < visible[rows, None]
            logits.append(self._logits(features[rows[:, None], window], window, None if shown.all() else shown))
        return torch.cat(logits)[order.argsort()]

    def classify_mutants_view(
        self,
        features: Float[Tensor, "image window token dim"],
        image: Int[Tensor, " mutant"],
        hidden: Bool[Tensor, "mutant window"],
    ) -> Float[Tensor, "mutant class"]:
        visible = self.windows - int(hidden[0].sum())
        if visible == 0 or bool((hidden.sum(1) != self.windows - visible).any()):
            raise ConfigurationError("the mutants of one call must show the same number of windows, at least one")
        return self.classify_windows(features, image, visible_first(hidden)[:, :visible])

    def classify_windows(
        self,
        features: Float[Tensor, "image window token dim"],
        image: Int[Tensor, " mutant"],
        window: Int[Tensor, "mutant visible"],
        shown: Bool[Tensor, "mutant visible"] | None = None,
    ) -> Float[Tensor, "mutant class"]:
        """Logits of mutants in one view by the numbers of their visible windows, in ascending order.

        Windows that are not ``shown`` are padding; without it there is none.
        """
        return self._logits(features[image[:, None], window], window, shown)

    def mirrored(self, hidden: Bool[Tensor, "row window"]) -> Bool[Tensor, "row window"]:
        return hidden.unflatten(1, self.grid).flip(2).flatten(1)

    def tokens_of_view(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        return (~hidden).sum(1) * self._window_tokens.shape[1] + self.prefix_tokens

    def encode_flops_of_view(self) -> int:
        per_window = self.prefix_tokens + self._window_tokens.shape[1]
        length = torch.tensor([per_window])
        windows = self.windows * int(self.sequence_flops(range(self.split), length))
        return self.tokens * self.embedding_flops() + windows

    def flops_of_view(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        tokens = self.tokens_of_view(hidden)
        return self.sequence_flops(self._lrf, tokens) + self.read_out_flops(tokens)

    @property
    def _lrf(self) -> range:
        return range(self.split, len(self.blocks))

    def _logits(
        self,
        seen: Float[Tensor, "row visible token dim"],
        window: Int[Tensor, "row visible"],
        shown: Bool[Tensor, "row visible"] | None,
    ) -> Float[Tensor, "row class"]:
        """Logits of the windows with the numbers ``window``; those not ``shown`` are padding."""
        x, times = self._sequence(seen, shown)
        x = self.run(self._lrf, x, self._window_tokens[window].flatten(1), times)
        return self.read_out(x, times)

    def _sequence(
        self, seen: Float[Tensor, "row visible token dim"], shown: Bool[Tensor, "row visible"] | None
    ) -> tuple[Float[Tensor, "row sequence dim"], Float[Tensor, "_ sequence"] | None]:
        """The sequences that enter the later blocks, and the number of equal tokens that each token stands for."""
        if shown is not None:
            # Not a product: a hidden window may hold numbers that are not finite.
            seen = seen.masked_fill(~shown[:, :, None, None], 0.0)
        per_window = self._window_tokens.shape[1]
        prefix = self.window_prefix(seen, shown)
        x = torch.cat([prefix, seen[:, :, -per_window:].flatten(1, 2)], dim=1)
        if shown is None:
            return x, None
        once = x.new_ones(x.shape[0], prefix.shape[1])
        return x, torch.cat([once, shown.to(x.dtype).repeat_interleave(per_window, dim=1)], dim=1)


def visible_first(hidden: Bool[Tensor, "row window"]) -> Int[Tensor, "row window"]:
    """Numbers of the windows, the visible ones first, each kind in ascending order."""
    return hidden.to(torch.uint8).argsort(dim=1, stable=True)
