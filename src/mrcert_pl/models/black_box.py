"""BlackBox: any classifier, hidden windows painted over."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import BoolTensor, Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Borders, PatchSpec, UnionLattice, check_covering
from mrcert_pl.geometry.pixel_masks import pixel_masks
from mrcert_pl.models.backbones import classifier
from mrcert_pl.models.inputs import check_hidden, check_some_visible, normalised

# What a mutant counts in a batch's budget of tokens: as much as in a ViT with patches of so many px.
_TOKEN_PX = 16
# Nobody can wait for the unions of more.
_MOST_PER_AXIS = 7


class BlackBox(nn.Module):
    """A timm classifier that sees images with pixels painted over, as in PatchCleanser (Xiang et al. 2022).

    Nothing is asked of the classifier: what is hidden is gone before its first layer. The price is a whole
    forward for every mutant. The windows are the cells that the borders of the masks cut, so they depend on the patch.

    Args:
        backbone: a timm model by its full tag, which also decides the mean and standard deviation of the images.
        pretrained: start from the tag's weights, from the hub.
        num_classes: outputs of the head.
        patch: size of the patch that the masks are made for, as for :class:`~mrcert_pl.geometry.PatchSpec`.
        masks_per_axis: most masks along an axis; PatchCleanser has 3 to 6.
        image_px: ``(height, width)`` of the images.
        fill: what hidden pixels are set to after normalisation; 0 is the mean colour.
        backbone_args: further arguments of the timm model.
        weights: start from the weights in this local file, whatever ``pretrained`` says.
        head_rows: for each class its row in the head of these weights, if the new classes are a subset of the old.

    Attributes:
        config: plain values that make this model again, without the weights that it started from.
        windows: number of cells. masks: their borders, and the masks.

    Raises:
        ConfigurationError: for an unknown backbone, weights that can't be had, a patch that can't be read or is
            larger than the image, or fewer than one mask.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    mean: Tensor
    std: Tensor

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
    ) -> None:
        super().__init__()
        arguments = dict(backbone_args or {})
        self.image_px = (int(image_px[0]), int(image_px[1]))
        self.masks = pixel_masks(self.image_px, PatchSpec(patch), masks_per_axis)
        self.windows = self.masks.grid[0] * self.masks.grid[1]
        self.config = {
            "backbone": backbone,
            "num_classes": num_classes,
            "patch": patch,
            "masks_per_axis": masks_per_axis,
            "image_px": list(self.image_px),
            "fill": fill,
            "backbone_args": arguments,
        }
        self.num_classes = num_classes
        self.masks_per_axis = masks_per_axis
        self.fill = fill
        net: Any = classifier(backbone, num_classes, pretrained, weights, head_rows, **arguments)
        self.net = net
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(net.pretrained_cfg[name]).view(1, -1, 1, 1))

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

    @property
    def window_shares(self) -> Tensor:
        """Share of the image's pixels in each window, ``[window]``."""
        heights, widths = (torch.tensor(borders).diff() for borders in (self.masks.rows, self.masks.columns))
        return (heights[:, None] * widths).flatten() / (self.image_px[0] * self.image_px[1])

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        """The nearest settings with which all unions of ``order`` masks show something and can be counted, in words."""
        for per_axis in sorted(range(1, _MOST_PER_AXIS + 1), key=lambda k: abs(k - self.masks_per_axis)):
            masks = pixel_masks(self.image_px, patch, per_axis)
            try:
                UnionLattice(masks.masks, masks.grid[0] * masks.grid[1], order)
            except ConfigurationError:
                continue
            return f"the nearest that works: model.masks_per_axis={per_axis}"
        return "no number of masks works here"

    @property
    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation that images are normalised with, ``[1, 3, 1, 1]`` each."""
        return self.mean, self.std

    @property
    def residual_blocks(self) -> Sequence[nn.Module]:
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

    def encode(self, images: Tensor) -> Tensor:
        """Normalised images ``[image, 3, height, width]`` of images in [0, 1]."""
        return normalised(images, self.image_px, self.mean, self.std)

    def classify(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Logits ``[image, class]`` with the windows ``hidden`` ``[image, window]`` painted over.

        Raises:
            ConfigurationError: if all windows of an image are hidden, or the shapes don't fit.
        """
        check_hidden(hidden, len(features), self.windows)
        check_some_visible(hidden)
        pixels = hidden.view(-1, *self.masks.grid)
        for axis, borders in enumerate((self.masks.rows, self.masks.columns), start=1):
            sizes = torch.tensor(borders, device=hidden.device).diff()
            pixels = pixels.repeat_interleave(sizes, dim=axis, output_size=borders[-1])
        return self.net(features.masked_fill(pixels[:, None], self.fill))

    def classify_visible(self, features: Tensor, hidden: Tensor) -> Tensor:
        """What :meth:`classify` gives: hiding pixels saves nothing here."""
        return self.classify(features, hidden)

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: BoolTensor) -> Tensor:
        """Logits ``[mutant, class]`` of mutant ``i``: image ``image[i]`` with the windows ``hidden[i]`` hidden."""
        return self.classify(features[image], hidden)

    def mutant_tokens(self, hidden: BoolTensor) -> Tensor:
        """What each mutant counts in a batch, long ``[mutant]``: always the same."""
        tokens = -(-self.image_px[0] // _TOKEN_PX) * -(-self.image_px[1] // _TOKEN_PX)
        return torch.full((len(hidden),), tokens)

    def encode_flops(self) -> int:
        """Floating point operations of :meth:`encode`, for one image: none that count."""
        return 0

    def mutant_flops(self, hidden: BoolTensor) -> Tensor:
        """Floating point operations of :meth:`classify_mutants`, long ``[mutant]``: always the same."""
        # On paper: nothing is computed, and no running statistic of a model in training moves.
        on_paper = copy.deepcopy(self.net).to("meta").eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            on_paper(torch.zeros(1, 3, *self.image_px, device="meta"))
        return torch.full((len(hidden),), counter.get_total_flops())

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Logits ``[image, class]``, with the windows ``hidden`` ``[image, window]`` hidden if given."""
        features = self.encode(images)
        return self.net(features) if hidden is None else self.classify(features, hidden)
