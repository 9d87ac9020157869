"""What every patch attack is: from an image and its label to patched images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mrcert_pl.attacks.placement import Placement


@dataclass(frozen=True)
class AttackedImage:
    """An image with a patch on it.

    Attributes:
        image: ``[3, height, width]``, the original outside the patch.
        placement: where the patch is.
        loss: of the model on the true label.
        prediction: label that the model gives to the patched image.
        start: the start that led to it.
        step: the step of that start, 0 for the content that it began with.
    """

    image: Tensor
    placement: Placement
    loss: float
    prediction: int
    start: int
    step: int


class PatchAttack(ABC):
    """An attack on a base model, image by image.

    Attributes:
        name: how results call it.
        quantize: whether the pixels of its patches are on the 8-bit grid.
    """

    name: str
    quantize: bool

    @abstractmethod
    def attack(self, model: Any, image: Tensor, label: int, key: int) -> AttackedImage:
        """Patch one image so that the model reads it wrongly.

        Args:
            model: ``model(images)`` are logits ``[image, class]`` of ``[image, 3, height, width]`` in [0, 1]; it
                normalises inside. In evaluation mode.
            image: ``[3, height, width]`` in [0, 1].
            label: its true label.
            key: its id; with the seed it decides every random draw.

        Raises:
            ConfigurationError: for a model in training mode, or a patch larger than the image.
            NumericalError: for logits that are not finite.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that, with the model, say which images come out."""


class PlacedAttack(ABC):
    """Patches at a place that somebody else has chosen, against a label that is not to stay."""

    @abstractmethod
    def patched(
        self, model: Any, image: Tensor, label: int, placement: Placement, key: int
    ) -> Iterator[tuple[str, Tensor]]:
        """Versions of an image with a patch on it, each with the name of what made it.

        Args:
            model: a base model whose windows can be hidden, in evaluation mode.
            image: ``[3, height, width]`` in [0, 1].
            label: the label that is attacked.
            placement: where the patch is.
            key: id of the image; with the seed and the placement it decides every random draw.
        """
