"""The way from a picture to the tensor that a model sees: one for validation, evaluation and prediction."""

from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from mrcert_pl.data.images import rgb
from mrcert_pl.errors import DataError, unknown

Resize = Literal["crop", "whole"]

# The usual evaluation crop of ImageNet models: shorter side to 256, centre 224.
_CROP_SHARE = 224 / 256


@dataclass(frozen=True)
class Preprocessing:
    """Resizes (bicubic, antialiased) and scales to [0, 1]. Normalisation is the model's own, see ``ViTSRF.encode``.

    Args:
        image_px: ``(height, width)`` that the model takes. Patch sizes are on this grid.
        resize: ``crop`` enlarges or shrinks the picture until the centre crop is 7/8 of it (natural images of any
            size), ``whole`` takes all of it (small images whose content fills the frame, and images that were cropped
            before).
    """

    image_px: tuple[int, int]
    resize: Resize = "crop"

    def __post_init__(self) -> None:
        if self.resize not in get_args(Resize):
            raise unknown("way to resize", self.resize, get_args(Resize))

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """``[3, height, width]`` in [0, 1].

        Raises:
            DataError: for a tensor, which is an image that has been through here before, of another size.
        """
        height, width = self.image_px
        if isinstance(image, Tensor):
            if image.shape != (3, height, width):
                raise DataError(
                    f"an image of {list(image.shape)} was made for another model: {[3, height, width]} is needed"
                )
            return image
        image = rgb(image)
        if self.resize == "crop":
            scale = max(height / _CROP_SHARE / image.height, width / _CROP_SHARE / image.width)
            larger = (round(image.width * scale), round(image.height * scale))
            left, top = (larger[0] - width) // 2, (larger[1] - height) // 2
            image = image.resize(larger, Image.Resampling.BICUBIC).crop((left, top, left + width, top + height))
        else:
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        return pil_to_tensor(image).float() / 255
