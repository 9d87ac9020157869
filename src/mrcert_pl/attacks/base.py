"""Interfaces of patch attacks: from an image and its label to patched images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from mrcert_pl.attacks.placement import Placement
from mrcert_pl.models.protocols import BaseModel


@dataclass(frozen=True)
class AttackedImage:
    """An image with a patch on it.

    Attributes:
        image: Patched image; equal to the original outside the patch.
        placement: Location and size of the patch.
        loss: Score of the attack; of an attack on the base model its loss on the true label.
        prediction: Label by the model.
        start: Number of the random start.
        step: Step of that start, 0 for its initial content.
    """

    image: Float[Tensor, "3 height width"]
    placement: Placement
    loss: float
    prediction: int
    start: int
    step: int


class PatchAttack(ABC):
    """An attack on a base model, image by image.

    Attributes:
        name: Name in results.
        quantize: Whether the pixels of its patches are on the 8-bit grid.
    """

    name: str
    quantize: bool

    @property
    def needs_clip(self) -> bool:
        """Whether it must be built again with ``clip=``, from :func:`mrcert_pl.attacks.normalised_range`."""
        return False

    @abstractmethod
    def attack(
        self, model: BaseModel, image: Float[Tensor, "3 height width"], label: int, image_id: int
    ) -> AttackedImage:
        """Patch one image so that the model misclassifies it.

        Args:
            model: Base model in evaluation mode; it normalises inside.
            image: Image with values in [0, 1].
            label: True label.
            image_id: Id of the image; with the seed it determines every random draw.

        Raises:
            ConfigurationError: For a model in training mode, or a patch larger than the image.
            NumericalError: For logits that are not finite.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return plain values that, with the model, determine the patched images."""


class PlacedAttack(ABC):
    """Patches at a given placement, against a given label."""

    @abstractmethod
    def patched(
        self,
        model: BaseModel,
        image: Float[Tensor, "3 height width"],
        label: int,
        placement: Placement,
        image_id: int,
    ) -> Iterator[tuple[str, Float[Tensor, "3 height width"]]]:
        """Yield patched versions of an image, each with the name of the kind of patch.

        Args:
            model: Base model in evaluation mode, with gradients of weights off.
            image: Image with values in [0, 1].
            label: Label that the patch is to change; :data:`~mrcert_pl.defenders.ANY_LABEL` if every label will do
                without an alert.
            placement: Location and size of the patch.
            image_id: Id of the image; with the seed and the placement it determines every random draw.
        """
