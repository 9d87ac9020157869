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
from mrcert_pl.models.inputs import check_hidden, check_some_visible, normalised

# A mutant costs as many tokens of the budget as in a ViT with patches of 16 px.
_TOKEN_PX = 16
# With more masks per axis the unions are too many to enumerate.
_MOST_PER_AXIS = 7


class WrappedClassifier(nn.Module):
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

    Attributes:
        config: Plain values that describe the model; the classifier's weights and code are not part of them.
        windows: Number of cells.
        masks: The masks and their borders.

    Raises:
        ConfigurationError: for a patch that is invalid or larger than the image, fewer than one mask, or a mean or
            standard deviation that does not have three values.
    """

    mean: Tensor
    std: Tensor

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
    ) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or not min(std) > 0:
            raise ConfigurationError(
                f"mean and std must have one value per colour channel, std above 0; got {mean} and {std}"
            )
        self.image_px = (int(image_px[0]), int(image_px[1]))
        self.masks = pixel_masks(self.image_px, patch_spec(patch), masks_per_axis)
        self.windows = self.masks.grid[0] * self.masks.grid[1]
        self.config: dict[str, Any] = {
            "classifier": type(net).__name__,
            "num_classes": num_classes,
            "mean": list(mean),
            "std": list(std),
            "patch": patch,
            "masks_per_axis": masks_per_axis,
            "image_px": list(self.image_px),
            "fill": fill,
        }
        self.num_classes = num_classes
        self.masks_per_axis = masks_per_axis
        self.fill = fill
        self.net = net
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        """Return the masks, which cover the patch that they are made for and smaller ones, as bitsets over the cells.

        Raises:
            ConfigurationError: for a patch that they don't cover, or a stride: it follows from the number of masks.
        """
        if stride not in (1, (1, 1)):
            raise ConfigurationError(f"a {type(self).__name__} has masks_per_axis instead of stride={stride}")
        check_covering(self.masks.masks, self.borders, patch)
        return self.masks.masks

    @property
    def borders(self) -> Borders:
        """Borders of the windows in px along both axes."""
        return self.masks.borders

    @property
    def window_shares(self) -> Float[Tensor, " window"]:
        """Fraction of the image's pixels in each window."""
        heights, widths = (torch.tensor(borders).diff() for borders in (self.masks.rows, self.masks.columns))
        return (heights[:, None] * widths).flatten() / (self.image_px[0] * self.image_px[1])

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        """Name the nearest setting with which all unions of ``order`` masks show something and can be enumerated."""
        for per_axis in sorted(range(1, _MOST_PER_AXIS + 1), key=lambda k: abs(k - self.masks_per_axis)):
            masks = pixel_masks(self.image_px, patch, per_axis)
            try:
                UnionLattice(masks.masks, masks.grid[0] * masks.grid[1], order)
            except ConfigurationError:
                continue
            return f"the nearest that works: model.masks_per_axis={per_axis}"
        return "no number of masks works here"

    def encode(self, images: Float[Tensor, "image channel height width"]) -> Float[Tensor, "image 3 height width"]:
        """Normalise images in [0, 1]."""
        return normalised(images, self.image_px, self.mean, self.std)

    def classify(
        self, features: Float[Tensor, "image 3 height width"], hidden: Bool[Tensor, "row window"]
    ) -> Float[Tensor, "image class"]:
        """Logits with the pixels of hidden windows replaced by ``fill``.

        Raises:
            ConfigurationError: if all windows of an image are hidden, or the shapes don't fit.
        """
        check_hidden(hidden, len(features), self.windows)
        check_some_visible(hidden)
        pixels = hidden.view(-1, *self.masks.grid)
        for axis, borders in enumerate((self.masks.rows, self.masks.columns), start=1):
            sizes = torch.tensor(borders, device=hidden.device).diff()
            pixels = pixels.repeat_interleave(sizes, dim=axis, output_size=borders[-1])
        return logits_of(self.net(features.masked_fill(pixels[:, None], self.fill)))

    def classify_visible(
        self, features: Float[Tensor, "image 3 height width"], hidden: Bool[Tensor, "row window"]
    ) -> Float[Tensor, "image class"]:
        """Return the logits of :meth:`classify`: hiding pixels saves nothing here."""
        return self.classify(features, hidden)

    def classify_mutants(
        self,
        features: Float[Tensor, "image 3 height width"],
        image: Int[Tensor, " mutant"],
        hidden: Bool[Tensor, "mutant window"],
    ) -> Float[Tensor, "mutant class"]:
        """Logits of mutant ``i``: image ``image[i]`` with the windows ``hidden[i]`` hidden."""
        return self.classify(features[image], hidden)

    def mutant_tokens(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Tokens that each mutant costs: always the same number."""
        tokens = -(-self.image_px[0] // _TOKEN_PX) * -(-self.image_px[1] // _TOKEN_PX)
        return torch.full((len(hidden),), tokens)

    def encode_flops(self) -> int:
        """Floating-point operations of :meth:`encode` for one image: a negligible number."""
        return 0

    def mutant_flops(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Floating-point operations of :meth:`classify_mutants`: the same for every mutant."""
        # On the meta device: nothing is computed, and no running statistic of a model in training changes.
        on_meta = copy.deepcopy(self.net).to("meta").eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            on_meta(torch.zeros(1, 3, *self.image_px, device="meta"))
        return torch.full((len(hidden),), counter.get_total_flops())

    def forward(
        self,
        images: Float[Tensor, "image channel height width"],
        hidden: Bool[Tensor, "row window"] | None = None,
    ) -> Float[Tensor, "image class"]:
        """Logits, with windows hidden if given."""
        features = self.encode(images)
        return logits_of(self.net(features)) if hidden is None else self.classify(features, hidden)

    @property
    def normalisation(self) -> tuple[Float[Tensor, "1 3 1 1"], Float[Tensor, "1 3 1 1"]]:
        """Mean and standard deviation of the images."""
        return self.mean, self.std

    @property
    def residual_blocks(self) -> Sequence[nn.Module]:
        """Blocks in order of depth, for stochastic depth; a classifier of any kind has none."""
        return ()

    def no_weight_decay(self) -> set[str]:
        """Names of parameters without weight decay (an interface of timm)."""
        return {f"net.{name}" for name in getattr(self.net, "no_weight_decay", set)()}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay: those of the classifier."""

        def moved(pattern: Any) -> Any:
            if isinstance(pattern, str):
                return r"net\.(?:" + re.sub(r"(?<!\[)\^", "", pattern) + ")"
            return [(moved(one), position) for one, position in pattern]

        net: Any = self.net
        return {group: moved(pattern) for group, pattern in net.group_matcher(coarse=coarse).items()}


def patch_spec(patch: Shape | Sequence[Shape]) -> PatchSpec:
    """Patch specification of a size that may have been written as a list."""
    return PatchSpec(patch if isinstance(patch, int | str) else tuple(patch))


def logits_of(output: object) -> Tensor:
    """Return the logits in the output of a classifier: a tensor, an object or a mapping with ``logits``.

    Raises:
        ConfigurationError: for any other output.
    """
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not (isinstance(found, Tensor) and found.ndim == 2 and found.is_floating_point()):
        kind = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(output).__name__
        raise ConfigurationError(
            f"the model must return logits [image, class] (a tensor, or an output with .logits), got {kind}"
        )
    return found
