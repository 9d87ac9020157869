"""From an image to the tensor that a model sees: the same for validation, evaluation and prediction."""

from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from mrcert_pl.data.images import rgb
from mrcert_pl.errors import DataError, unknown

Resize = Literal["crop", "whole"]

# The usual evaluation crop of ImageNet models: shorter side to 256, centre 224.
_CROP_FRACTION = 224 / 256


@dataclass(frozen=True)
class Preprocessing:
    """Resize (bicubic, antialiased) and scale to [0, 1]. Models normalise by themselves, see ``ViTSRF.encode``.

    Args:
        image_px: ``(height, width)`` of the model's input. Patch sizes are on this grid.
        resize: ``crop`` scales the image until the centre crop is 7/8 of it (photographs of any size), ``whole``
            takes all of it (small images whose content fills the frame, and images that were cropped before).
    """

    image_px: tuple[int, int]
    resize: Resize = "crop"

    def __post_init__(self) -> None:
        if self.resize not in get_args(Resize):
            raise unknown("resize", self.resize, get_args(Resize))

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """Return ``[3, height, width]`` in [0, 1].

        Raises:
            DataError: for a tensor (an image that was preprocessed before) of another size.
            ImageError: for an image that is too large or too narrow, or of an unknown range.
        """
        height, width = self.image_px
        if isinstance(image, Tensor):
            if image.shape != (3, height, width):
                order = "; the channel must be its first axis" if image.shape == (height, width, 3) else ""
                raise DataError(
                    f"an image of {list(image.shape)} was made for another model: {[3, height, width]} is needed{order}"
                )
            return image
        image = rgb(image)
        resized = _centre_crop(image, height, width) if self.resize == "crop" else _resized(image, height, width)
        return pil_to_tensor(resized).float() / 255


def _centre_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """Resize the whole image and cut the centre out of it.

    Resizing only what the crop needs would give other pixels: Pillow rounds after each axis and chooses their order by
    the shape. The resized image is small because ``rgb`` bounds the ratio of the sides (26 MB for a crop of 224 px).
    """
    scale = max(height / _CROP_FRACTION / image.height, width / _CROP_FRACTION / image.width)
    larger_height, larger_width = round(image.height * scale), round(image.width * scale)
    left, top = (larger_width - width) // 2, (larger_height - height) // 2
    return _resized(image, larger_height, larger_width).crop((left, top, left + width, top + height))


def _resized(image: Image.Image, height: int, width: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BICUBIC)
