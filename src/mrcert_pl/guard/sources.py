"""Inputs of a guard: files, encoded bytes, Pillow images, arrays and tensors."""

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mrcert_pl.data import ImageError
from mrcert_pl.data.images import rgb
from mrcert_pl.errors import DataError

ImageInput = str | Path | bytes | Image.Image | np.ndarray | Tensor
Exif = Literal["apply", "ignore"]

# Beyond it a resize to the model's size needs gigabytes for a file of a hundred bytes.
MAX_ASPECT = 32
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
        ImageError: for a file, bytes or an image that can't be decoded, or one with an aspect ratio above the limit.
        DataError: for another type, or an array or tensor of another dtype, layout or range.
    """
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    if isinstance(source, Tensor):
        return _checked(source)
    if isinstance(source, str | Path | bytes):
        source = _opened(source)
    if not isinstance(source, Image.Image):
        raise DataError(f"an image must be {_KINDS}, got {type(source).__name__}")
    check_aspect(source)
    try:
        return rgb(_upright(source) if exif == "apply" else source)
    except ImageError:
        raise
    except Exception as error:  # decoders raise errors of any type; a closed image raises ValueError
        raise ImageError(f"the image can't be decoded: {error}") from error


def check_aspect(image: Image.Image) -> None:
    """Check that the longer side is at most :data:`MAX_ASPECT` times the shorter one.

    Raises:
        ImageError: for a longer image, or one without pixels.
    """
    shorter, longer = sorted(image.size)
    if shorter < 1 or longer > MAX_ASPECT * shorter:
        raise ImageError(
            f"the image has {image.width:,} x {image.height:,} pixels; the longer side may be at most "
            f"{MAX_ASPECT} times the shorter one"
        )


def _opened(source: str | Path | bytes) -> Image.Image:
    """Open and decode a file or encoded bytes."""
    name = "the image" if isinstance(source, bytes) else str(source)
    try:
        image = Image.open(BytesIO(source) if isinstance(source, bytes) else source)
        check_aspect(image)
        image.load()
    except FileNotFoundError as error:
        raise ImageError(f"{name} is missing: there is no such file") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has more pixels than Pillow opens ({error})") from error
    except Exception as error:  # decoders raise errors of any type
        reason = "it is empty (0 bytes)" if _is_empty(source) else str(error)
        raise ImageError(f"{name} can't be read as an image: {reason}. Replace it by an intact copy") from error
    return image


def _is_empty(source: str | Path | bytes) -> bool:
    if isinstance(source, bytes):
        return not source
    return Path(source).is_file() and not Path(source).stat().st_size


def _upright(image: Image.Image) -> Image.Image:
    # A file with damaged EXIF data states no rotation.
    with suppress(Exception):
        return ImageOps.exif_transpose(image)
    return image


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
