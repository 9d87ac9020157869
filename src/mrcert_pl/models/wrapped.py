"""WrappedClassifier: any classifier as a base model; hidden pixels are replaced before its first layer."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Borders, PatchSpec, UnionLattice, check_covering
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.geometry.pixel_masks import pixel_masks
from mrcert_pl.models.hiding_model import HidingModel

# Side of a patch in px of the ViT whose tokens a mutant is counted in.
_TOKEN_PX = 16
# With more masks per axis the unions are too many to enumerate.
_MOST_PER_AXIS = 7


class WrappedClassifier(HidingModel):
    """A classifier that sees images with replaced pixels, as in PatchCleanser (Xiang et al. 2022).

    Nothing is required of the architecture: hidden pixels are replaced before its first layer. Every mutant costs a
    full forward pass. The windows are the cells between the borders of the masks, so they depend on the patch.

    Args:
        net: Module from normalised images ``[image, 3, height, width]`` to logits ``[image, class]``: a tensor, an
            object with ``logits`` or a mapping with that name.
        num_classes: Number of classes.
        mean: Mean of the three channels, subtracted from images in [0, 1].
        std: Standard deviation of the three channels.
        patch: Patch size that the masks are made for, as for :class:`~mrcert_pl.geometry.PatchSpec`.
        masks_per_axis: Maximum number of masks along an axis; PatchCleanser has 3 to 6.
        image_px: ``(height, width)`` of the images.
        fill: Value of hidden pixels after normalisation; 0 is the mean colour.
        config: Plain values that build the model again, where these are enough.
        views: Views of each mutant: ``one``, or ``flip`` for the average with the mirror image.

    Attributes:
        config: Plain values that describe the model; the classifier's weights and code are not part of them.
        windows: Number of cells.
        masks: The masks and their borders.

    Raises:
        ConfigurationError: for a patch that is invalid or larger than the image, fewer than one mask, or a mean or
            standard deviation that does not have three values or is not that of images in [0, 1].
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        patch: Shape | Sequence[Shape] = 32,
        masks_per_axis: int = 6,
        image_px: Sequence[int] = (224, 224),
        fill: float = 0.0,
        config: Mapping[str, Any] | None = None,
        views: str = "one",
    ) -> None:
        if len(mean) != 3 or len(std) != 3 or not min(std) > 0:
            raise ConfigurationError(
                f"mean and std must have one value per colour channel, std above 0; got {mean} and {std}"
            )
        if not (min(mean) >= 0 and max(mean) <= 1 and max(std) <= 1):
            raise ConfigurationError(
                "mean and std are those of images in [0, 1], so none may be above 1 (divide those of images from 0 to "
                f"255 by 255); got {mean} and {std}"
            )
        size = (int(image_px[0]), int(image_px[1]))
        # The weights and the code of a foreign module are not plain values.
        about = {"classifier": type(net).__name__, "mean": list(mean), "std": list(std)} if config is None else config
        described = {"patch": patch, "masks_per_axis": masks_per_axis, "image_px": list(size), "fill": fill}
        super().__init__(size, num_classes, {"mean": mean, "std": std}, {**about, **described}, views)
        self.net = net
        self.masks = pixel_masks(self.image_px, patch_spec(patch), masks_per_axis)
        self.windows = self.masks.grid[0] * self.masks.grid[1]
        self.masks_per_axis = masks_per_axis
        self.fill = fill

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        """Return the masks, which cover the patch that they are made for and smaller ones, as bitsets over the cells.

        Args:
            patch: patch to cover.
            stride: number of neighbouring masks along an axis that one mask joins.

        Raises:
            ConfigurationError: for a patch that they don't cover, or a stride below 1.
        """
        vertical, horizontal = stride if isinstance(stride, tuple) else (stride, stride)
        if min(vertical, horizontal) < 1:
            raise ConfigurationError(f"stride must be a whole number of at least 1, not {stride}")
        masks = self.masks.joined(vertical, horizontal)
        check_covering(masks, self.borders, patch)
        return masks

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
            alone = "" if stride in (1, (1, 1)) else " stride=1"
            return f"the nearest that works: model.masks_per_axis={per_axis}{alone}"
        return "no number of masks works here"

    @property
    def residual_blocks(self) -> tuple[nn.Module, ...]:
        """Blocks in order of depth, for stochastic depth; a classifier of any kind has none."""
        return ()

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay (timm's name)."""
        return {f"net.{name}" for name in getattr(self.net, "no_weight_decay", set)()}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: those of the classifier."""

        def moved(pattern: Any) -> Any:
            if isinstance(pattern, str):
                return r"net\.(?:" + re.sub(r"(?<!\[)\^", "", pattern) + ")"
            return [(moved(one), position) for one, position in pattern]

        net: Any = self.net
        return {group: moved(pattern) for group, pattern in net.group_matcher(coarse=coarse).items()}

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
        logits = logits_of(self.net(painted))
        return logits if self.view_count == 1 else (logits + logits_of(self.net(painted.flip(3)))) / 2

    def _pixels(self, hidden: Bool[Tensor, "image window"]) -> Bool[Tensor, "image height width"]:
        """Hidden pixels of hidden cells."""
        pixels = hidden.unflatten(1, self.masks.grid)
        for axis, borders in enumerate((self.masks.rows, self.masks.columns), start=1):
            sizes = torch.tensor(borders, device=hidden.device).diff()
            pixels = pixels.repeat_interleave(sizes, dim=axis, output_size=borders[-1])
        return pixels


def patch_spec(patch: Shape | Sequence[Shape]) -> PatchSpec:
    """Patch specification of a size that may have been written as a list."""
    return PatchSpec(tuple(patch) if isinstance(patch, Sequence) and not isinstance(patch, str) else patch)


def logits_of(output: object) -> Tensor:
    """Return the logits in the output of a classifier: a tensor, an object or a mapping with ``logits``.

    Raises:
        ConfigurationError: for any other output.
    """
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not (isinstance(found, Tensor) and found.ndim == 2 and found.is_floating_point()):
        kind = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(output).__name__
        raise ConfigurationError(
            f"the model must return logits [image, class], a tensor or the attribute logits of its output; got {kind}"
        )
    return found
