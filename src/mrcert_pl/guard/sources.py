"""Inputs of a guard: files, encoded bytes, Pillow images, arrays and tensors."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from mrcert_pl.data import ImageError
from mrcert_pl.data.images import Exif, check_size, image_suffixes, read_image, rgb, upright
from mrcert_pl.errors import DataError

ImageInput = str | Path | bytes | Image.Image | np.ndarray | Tensor
_KINDS = "a path, encoded bytes, a Pillow image, a NumPy array or a tensor"


def listed(images: ImageInput | Sequence[ImageInput]) -> list[ImageInput]:
    """Return the images of an argument that is one image, a list of images or a batch in one array or tensor.

    Raises:
        DataError: for any other type.
    """
    if isinstance(images, Tensor):
        return [images] if images.ndim == 3 else list(_strided(images))
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    if isinstance(images, str | Path | bytes | Image.Image):
        return [images]
    if isinstance(images, list | tuple):
        return list(images)
    raise DataError(f"images must be {_KINDS}, or a list of them, got {type(images).__name__}")


def photo_or_tensor(source: object, exif: Exif) -> Image.Image | Tensor:
    """Decode an input: an RGB image of any size, or a float32 tensor with values in [0, 1].

    Args:
        source: A path, encoded bytes, a Pillow image, a uint8 array ``[height, width]`` or ``[height, width, channel]``
            with 1, 3 or 4 channels, or a floating-point array or tensor ``[3, height, width]`` in [0, 1].
        exif: Apply or ignore the rotation in an image's EXIF data.

    Raises:
        ImageError: for a file, bytes or an image that can't be decoded, or one that is too large or too long.
        DataError: for another type, or an array or tensor of another dtype, layout or range.
    """
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    if isinstance(source, Tensor):
        return _checked(source)
    if isinstance(source, str | Path):
        return read_image(Path(source), exif)
    if not isinstance(source, bytes | Image.Image):
        raise DataError(f"an image must be {_KINDS}, got {type(source).__name__}")
    try:
        image = source if isinstance(source, Image.Image) else Image.open(BytesIO(source), formats=image_formats())
        check_size(image.size)
        return rgb(upright(image) if exif == "apply" else image)
    except ImageError:
        raise
    except Exception as error:  # decoders raise errors of any type; a closed image raises ValueError
        reason = "it is empty (0 bytes)" if source == b"" else str(error)
        if isinstance(error, UnidentifiedImageError) and source:
            # Pillow's message has the address of the bytes in memory.
            reason = "it is in no format that Pillow reads"
        raise ImageError(f"the image can't be decoded: {reason}") from error


def image_formats() -> list[str]:
    """Pillow's names of the formats that are decoded."""
    return sorted(set(image_suffixes().values()))


def _from_array(array: np.ndarray) -> Image.Image | Tensor:
    """A Pillow image from integers, a tensor from floating-point numbers."""
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
    if array.dtype.kind == "f" and array.ndim == 3:
        return torch.from_numpy(np.ascontiguousarray(array))
    raise DataError(
        "an array must be uint8 [height, width] or [height, width, channel], or floating-point [3, height, width] in "
        f"[0, 1]; got {array.dtype} {list(array.shape)}"
    )


def _checked(image: Tensor) -> Tensor:
    image = _strided(image)
    if not image.is_floating_point() or not bool(((image >= 0) & (image <= 1)).all()):
        values = f" from {image.min():g} to {image.max():g}" if image.numel() and not image.is_complex() else ""
        raise DataError(
            f"an image must have floating-point values in [0, 1], not {image.dtype}{values}; the model normalises them "
            "itself"
        )
    return image.detach().float()


def _strided(images: Tensor) -> Tensor:
    if images.layout != torch.strided or images.device.type == "meta" or images.is_quantized:
        raise DataError(f"images must be dense tensors with data, got {images.layout} on the device {images.device}")
    return images
