"""BlackBox: a timm classifier by its tag, wrapped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcert_pl.geometry.patch import Shape
from mrcert_pl.geometry.pixel_masks import pixel_masks
from mrcert_pl.models.backbones import classifier
from mrcert_pl.models.wrapped import WrappedClassifier, patch_spec


class BlackBox(WrappedClassifier):
    """A :class:`WrappedClassifier` around a timm model, which a configuration or a checkpoint can describe.

    Args:
        backbone: timm model by its full tag; it also sets the mean and standard deviation of the images.
        pretrained: Start from the tag's weights on the hub.
        num_classes: Number of classes.
        patch: Patch size that the masks are made for, as for :class:`~mrcert_pl.geometry.PatchSpec`.
        masks_per_axis: Maximum number of masks along an axis.
        image_px: ``(height, width)`` of the images.
        fill: Value of hidden pixels after normalisation; 0 is the mean colour.
        backbone_args: Further arguments of the timm model.
        weights: Local file to start from; it takes precedence over ``pretrained``.
        head_rows: Row of each class in the head of these weights, if the classes are a subset of the old ones.
        views: Views of each mutant: ``one``, or ``flip`` for the average with the mirror image.

    Raises:
        ConfigurationError: for an unknown backbone, unavailable weights, and as :class:`WrappedClassifier` does.
        CheckpointError: for a weights file that can't be read or was made for another model.
    """

    def __init__(
        self,
        backbone: str = "resnet50.a1_in1k",
        pretrained: bool = False,
        num_classes: int = 1000,
        patch: Shape | Sequence[Shape] = 32,
        masks_per_axis: int = 6,
        image_px: Sequence[int] = (224, 224),
        fill: float = 0.0,
        backbone_args: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        head_rows: Sequence[Any] | None = None,
        views: str = "one",
    ) -> None:
        arguments = dict(backbone_args or {})
        # Settings are checked before weights are read or downloaded.
        pixel_masks((image_px[0], image_px[1]), patch_spec(patch), masks_per_axis)
        net: Any = classifier(backbone, num_classes, pretrained, weights, head_rows, **arguments)
        mean, std = (net.pretrained_cfg[name] for name in ("mean", "std"))
        config = {"backbone": backbone, "backbone_args": arguments}
        super().__init__(net, num_classes, mean, std, patch, masks_per_axis, image_px, fill, config, views)
        self.new_head = net.new_head
