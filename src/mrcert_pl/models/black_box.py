"""BlackBox: any classifier, hidden windows painted over."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Borders, PatchSpec, UnionLattice, check_covering
from mrcert_pl.geometry.pixel_masks import pixel_masks
from mrcert_pl.models.backbones import classifier
from mrcert_pl.models.hiding_model import HidingModel

# Side of a patch in px of the ViT whose tokens a mutant is counted in.
_TOKEN_PX = 16
# The unions of more masks take too long to enumerate.
_MOST_PER_AXIS = 7


class BlackBox(HidingModel):
    """A timm classifier that sees images with pixels painted over, as in PatchCleanser (Xiang et al. 2022).

    The classifier may be of any kind: hidden pixels are replaced before its first layer. The price is a whole
    forward for every mutant. The windows are the cells that the borders of the masks cut, so they depend on the patch.

    Args:
        backbone: A timm model by its full tag, which also decides the mean and standard deviation of the images.
        pretrained: Start from the tag's weights, from the hub.
        num_classes: Outputs of the head.
        patch: Size of the patch that the masks are made for, as for :class:`~mrcert_pl.geometry.PatchSpec`.
        masks_per_axis: Most masks along an axis; PatchCleanser has 3 to 6.
        image_px: ``(height, width)`` of the images.
        fill: Value of hidden pixels after normalisation; 0 is the mean colour.
        backbone_args: Further arguments of the timm model.
        weights: Start from the weights in this local file, whatever ``pretrained`` says.
        head_rows: For each class its row in the head of these weights, if the new classes are a subset of the old.
        views: Views of each mutant: ``one``, or ``flip`` for the average with the mirror image.

    Attributes:
        config: Plain values that make this model again, without the weights that it started from.
        windows: Number of cells.
        masks: Borders of the cells, and the masks.

    Raises:
        ConfigurationError: for an unknown backbone, weights that can't be had, a patch that can't be read or is
            larger than the image, or fewer than one mask.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    def __init__(
        self,
        backbone: str = "resnet50.a1_in1k",
        pretrained: bool = False,
        num_classes: int = 1000,
        patch: int | str | tuple[int, int] = 32,
        masks_per_axis: int = 6,
        image_px: Sequence[int] = (224, 224),
        fill: float = 0.0,
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[int] | None = None,
        views: str = "one",
    ) -> None:
        arguments = dict(backbone_args or {})
        size = (int(image_px[0]), int(image_px[1]))
        config = {
            "backbone": backbone,
            "patch": patch,
            "masks_per_axis": masks_per_axis,
            "image_px": list(size),
            "fill": fill,
            "backbone_args": arguments,
        }
        net: Any = classifier(backbone, num_classes, pretrained, weights, head_rows, **arguments)
        super().__init__(size, num_classes, net.pretrained_cfg, config, views)
        self.net = net
        self.masks = pixel_masks(self.image_px, PatchSpec(patch), masks_per_axis)
        self.windows = self.masks.grid[0] * self.masks.grid[1]
        self.masks_per_axis = masks_per_axis
        self.fill = fill

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        """The masks, which cover the patch that they are made for and smaller ones, as bitsets over the cells.

        Raises:
            ConfigurationError: for another patch that they don't cover, or a stride: it follows from the number.
        """
        if stride not in (1, (1, 1)):
            raise ConfigurationError(f"a BlackBox has model.masks_per_axis instead of stride={stride}; leave it at 1")
        check_covering(self.masks.masks, self.borders, patch)
        return self.masks.masks

    @property
    def borders(self) -> Borders:
        """Borders of the windows in px along both axes."""
        return self.masks.borders

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        """The nearest setting, in words, whose unions of ``order`` masks neither hide everything nor are too many."""
        for per_axis in sorted(range(1, _MOST_PER_AXIS + 1), key=lambda k: abs(k - self.masks_per_axis)):
            masks = pixel_masks(self.image_px, patch, per_axis)
            try:
                UnionLattice(masks.masks, masks.grid[0] * masks.grid[1], order)
            except ConfigurationError:
                continue
            return f"the nearest that works: model.masks_per_axis={per_axis}"
        return "no number of masks works here"

    @property
    def residual_blocks(self) -> tuple[nn.Module, ...]:
        """Blocks in order of depth, for stochastic depth; a classifier of any kind has none."""
        return ()

    def no_weight_decay(self) -> set[str]:
        """Parameters that an optimiser shouldn't decay (asked for by timm)."""
        return {f"net.{name}" for name in getattr(self.net, "no_weight_decay", set)()}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: those of the classifier."""

        def moved(pattern: Any) -> Any:
            if isinstance(pattern, str):
                return r"net\.(?:" + re.sub(r"(?<!\[)\^", "", pattern) + ")"
            return [(moved(one), position) for one, position in pattern]

        return {group: moved(pattern) for group, pattern in self.net.group_matcher(coarse=coarse).items()}

    def encode(self, images: Tensor) -> Float[Tensor, "image 3 height width"]:
        """Normalised images; mirror images are made after pixels are hidden, because the cells need no symmetry."""
        return self.normalised(images)

    def classify(self, features: Float[Tensor, "image 3 height width"], hidden: Tensor) -> Float[Tensor, "image class"]:
        self.check_hidden(hidden, len(features))
        return self._logits(features.masked_fill(self._pixels(hidden)[:, None], self.fill))

    def classify_visible(
        self, features: Float[Tensor, "image 3 height width"], hidden: Tensor
    ) -> Float[Tensor, "image class"]:
        """Logits of :meth:`classify`: hiding pixels saves nothing here."""
        return self.classify(features, hidden)

    def classify_mutants(
        self,
        features: Float[Tensor, "image 3 height width"],
        image: Int[Tensor, " mutant"],
        hidden: Tensor,
    ) -> Float[Tensor, "mutant class"]:
        return self.classify(features[image], hidden)

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Float[Tensor, "image class"]:
        features = self.encode(images)
        return self._logits(features) if hidden is None else self.classify(features, hidden)

    def tokens_of_view(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """The tokens of a ViT/16 on the whole image, for every mutant."""
        tokens = -(-self.image_px[0] // _TOKEN_PX) * -(-self.image_px[1] // _TOKEN_PX)
        return torch.full((len(hidden),), tokens)

    def encode_flops(self) -> int:
        return 0

    def flops_of_view(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        # On the meta device nothing is computed, and no running statistic of a model in training moves.
        on_meta = copy.deepcopy(self.net).to("meta").eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            on_meta(torch.zeros(1, 3, *self.image_px, device="meta"))
        return torch.full((len(hidden),), counter.get_total_flops())

    def _logits(self, painted: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image class"]:
        logits = self.net(painted)
        return logits if self.view_count == 1 else (logits + self.net(painted.flip(3))) / 2

    def _pixels(self, hidden: Bool[Tensor, "image window"]) -> Bool[Tensor, "image height width"]:
        """Hidden pixels of hidden cells."""
        pixels = hidden.unflatten(1, self.masks.grid)
        for axis, borders in enumerate((self.masks.rows, self.masks.columns), start=1):
            sizes = torch.tensor(borders, device=hidden.device).diff()
            pixels = pixels.repeat_interleave(sizes, dim=axis, output_size=borders[-1])
        return pixels
