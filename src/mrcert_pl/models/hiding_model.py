"""HidingModel: what the base models of this package share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mrcert_pl.errors import ConfigurationError, unknown

Views = Literal["one", "flip"]


class HidingModel(nn.Module, ABC):
    """A classifier of images of which windows can be hidden.

    A mutant is classified in one or two views: with ``flip``, the logits of a mutant and of its mirror image are
    averaged. The mirror image hides the mirrored pixels, so the average is still a function of the visible pixels, and
    every theorem holds for it (docs/theory.md, Theorem 14, corollary). It costs twice the operations. In training mode
    there is one view.

    Args:
        image_px: ``(height, width)`` of the images in px.
        num_classes: Number of classes.
        normalisation: ``mean`` and ``std`` of the channels, as in timm's ``pretrained_cfg``.
        config: Arguments of the constructor, without the weights that the model started from.
        views: Views of each mutant: ``one``, or ``flip`` for the image and its mirror image.

    Attributes:
        config: Plain values that make this model again.
        windows: Number of windows.
        new_head: Whether the weights of the head are random, from no training and no file.

    Raises:
        ConfigurationError: for unknown views.
    """

    mean: Tensor
    std: Tensor
    windows: int
    new_head = False

    def __init__(
        self,
        image_px: tuple[int, int],
        num_classes: int,
        normalisation: Mapping[str, Any],
        config: Mapping[str, Any],
        views: str,
    ) -> None:
        nn.Module.__init__(self)
        if views not in get_args(Views):
            raise unknown("views", views, get_args(Views))
        self.image_px = image_px
        self.num_classes = num_classes
        self.config = {**config, "num_classes": num_classes}
        if views != "one":
            # Not named where it is the default: older descriptions don't have it.
            self.config["views"] = views
        self.views = views
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(normalisation[name]).view(1, -1, 1, 1))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy weights and buffers, those of the head included unless ``strict`` is false."""
        loaded = super().load_state_dict(state_dict, strict, assign)
        self.new_head = self.new_head and not strict
        return loaded

    @property
    def normalisation(self) -> tuple[Float[Tensor, "1 3 1 1"], Float[Tensor, "1 3 1 1"]]:
        """Mean and standard deviation that images are normalised with."""
        return self.mean, self.std

    @property
    def view_count(self) -> int:
        """Number of views that each mutant is classified in."""
        return 2 if self.views == "flip" and not self.training else 1

    def normalised(self, images: Tensor) -> Float[Tensor, "image 3 height width"]:
        """Images in [0, 1], less the mean, divided by the standard deviation of the channels.

        Raises:
            ConfigurationError: for images of another size, or of integers.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *self.image_px) or not images.is_floating_point():
            raise ConfigurationError(
                f"images must be floats in [0, 1] of the shape [image, 3, {self.image_px[0]}, {self.image_px[1]}], "
                f"not {images.dtype} {list(images.shape)}"
            )
        return (images - self.mean) / self.std

    @abstractmethod
    def encode(self, images: Tensor) -> Float[Tensor, "image *features"]:
        """Features of images in [0, 1] that all mutants share."""

    @abstractmethod
    def classify(self, features: Float[Tensor, "image *features"], hidden: Tensor) -> Float[Tensor, "image class"]:
        """Logits with the windows ``hidden`` hidden, any number in each image: the reference path.

        Raises:
            ConfigurationError: if all of an image is hidden, or ``hidden`` has another shape.
        """

    @abstractmethod
    def classify_visible(
        self, features: Float[Tensor, "image *features"], hidden: Tensor
    ) -> Float[Tensor, "image class"]:
        """Logits of :meth:`classify` at the cost of what is visible, for training with a mask per image."""

    @abstractmethod
    def classify_mutants(
        self,
        features: Float[Tensor, "image *features"],
        image: Int[Tensor, " mutant"],
        hidden: Tensor,
    ) -> Float[Tensor, "mutant class"]:
        """Logits of mutants that cost the same number of tokens each: the fast path.

        Args:
            features: From :meth:`encode`.
            image: Index of the image that each mutant is made from.
            hidden: Hidden windows of each mutant.

        Raises:
            ConfigurationError: for mutants of different cost, or of which all is hidden.
        """

    @abstractmethod
    def encode_flops(self) -> int:
        """Floating point operations of :meth:`encode`, for one image."""

    def mutant_tokens(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Number of tokens that each mutant costs."""
        return self.view_count * self.tokens_of_view(hidden)

    def mutant_flops(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Floating point operations of :meth:`classify_mutants`, for each mutant."""
        return self.view_count * self.flops_of_view(hidden)

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Float[Tensor, "image class"]:
        """Logits, with the windows ``hidden`` hidden if given."""
        if hidden is None:
            hidden = torch.zeros(len(images), self.windows, dtype=torch.bool, device=images.device)
        return self.classify(self.encode(images), hidden)

    def check_shape(self, hidden: Tensor, rows: int) -> None:
        """Check that a mask has an entry for every row and window.

        Raises:
            ConfigurationError: for another shape.
        """
        if hidden.shape != (rows, self.windows):
            raise ConfigurationError(f"hidden must be {[rows, self.windows]}, not {list(hidden.shape)}")

    def check_hidden(self, hidden: Tensor, rows: int) -> None:
        """Check the shape of a mask, and that it leaves a window visible in every row.

        Raises:
            ConfigurationError: for another shape, or a row in which everything is hidden.
        """
        self.check_shape(hidden, rows)
        if hidden.all(1).any():
            raise ConfigurationError("all windows of an image are hidden: there is nothing to classify")

    @property
    @abstractmethod
    def residual_blocks(self) -> tuple[nn.Module, ...]:
        """Blocks in order of depth, for stochastic depth; empty for a model without."""

    @abstractmethod
    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay (timm's name)."""

    @abstractmethod
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay (timm's name)."""

    @abstractmethod
    def tokens_of_view(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Number of tokens of each mutant, in one view."""

    @abstractmethod
    def flops_of_view(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Floating point operations of :meth:`classify_mutants`, for each mutant in one view."""


class MirroringModel(HidingModel):
    """A :class:`HidingModel` whose two views are two rows of each call, with the mirrored windows hidden.

    A subclass computes one view.
    """

    def encode(self, images: Tensor) -> Float[Tensor, "image *features"]:
        """Features of images in [0, 1] that all mutants share; with two views ``[image, view, ...]``."""
        pixels = self.normalised(images)
        if self.view_count == 1:
            return self.encode_view(pixels)
        return torch.stack([self.encode_view(pixels), self.encode_view(pixels.flip(3))], dim=1)

    def classify(self, features: Float[Tensor, "image *features"], hidden: Tensor) -> Float[Tensor, "image class"]:
        self.check_hidden(hidden, len(features))
        if self.view_count == 1:
            return self.classify_view(features, hidden)
        logits = self.classify_view(features.flatten(0, 1), self._both(hidden))
        return logits.unflatten(0, (-1, 2)).mean(1)

    def classify_visible(
        self, features: Float[Tensor, "image *features"], hidden: Tensor
    ) -> Float[Tensor, "image class"]:
        self.check_hidden(hidden, len(features))
        if self.view_count == 1:
            return self.classify_visible_view(features, hidden)
        logits = self.classify_visible_view(features.flatten(0, 1), self._both(hidden))
        return logits.unflatten(0, (-1, 2)).mean(1)

    def classify_mutants(
        self,
        features: Float[Tensor, "image *features"],
        image: Int[Tensor, " mutant"],
        hidden: Tensor,
    ) -> Float[Tensor, "mutant class"]:
        self.check_shape(hidden, len(image))
        if self.view_count == 1:
            return self.classify_mutants_view(features, image, hidden)
        rows = torch.stack([2 * image, 2 * image + 1], dim=1).flatten()
        logits = self.classify_mutants_view(features.flatten(0, 1), rows, self._both(hidden))
        return logits.unflatten(0, (-1, 2)).mean(1)

    def encode_flops(self) -> int:
        """Floating point operations of :meth:`encode`, for one image."""
        return self.view_count * self.encode_flops_of_view()

    @abstractmethod
    def encode_view(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image *features"]:
        """Features of normalised images, in one view."""

    @abstractmethod
    def classify_view(
        self, features: Float[Tensor, "image *features"], hidden: Bool[Tensor, "image window"]
    ) -> Float[Tensor, "image class"]:
        """Logits of :meth:`classify`, in one view."""

    @abstractmethod
    def classify_visible_view(
        self, features: Float[Tensor, "image *features"], hidden: Bool[Tensor, "image window"]
    ) -> Float[Tensor, "image class"]:
        """Logits of :meth:`classify_visible`, in one view."""

    @abstractmethod
    def classify_mutants_view(
        self,
        features: Float[Tensor, "image *features"],
        image: Int[Tensor, " mutant"],
        hidden: Bool[Tensor, "mutant window"],
    ) -> Float[Tensor, "mutant class"]:
        """Logits of :meth:`classify_mutants`, in one view."""

    @abstractmethod
    def mirrored(self, hidden: Bool[Tensor, "row window"]) -> Bool[Tensor, "row window"]:
        """Windows that are hidden in the mirror image."""

    @abstractmethod
    def encode_flops_of_view(self) -> int:
        """Floating point operations of :meth:`encode_view`, for one image."""

    def _both(self, hidden: Bool[Tensor, "row window"]) -> Bool[Tensor, "twice window"]:
        """Each row, followed by its mirror image."""
        return torch.stack([hidden, self.mirrored(hidden)], dim=1).flatten(0, 1)
