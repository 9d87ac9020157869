"""Reading images from files: bounded, in 8-bit RGB, with one sentence for everything that fails."""

from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import ExifTags, Image

from mrcert_pl.errors import DataError, unknown

Exif = Literal["apply", "ignore"]

MAX_PIXELS = 178_956_970
"""Number of pixels up to which an image is decoded (Pillow's own limit): half a gigabyte in memory."""
MAX_ASPECT = 100
"""Largest ratio of the longer to the shorter side. It bounds the memory that resizing takes."""

# Pillow's transposition that makes an image upright, by its orientation in the EXIF data; 1 is upright.
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Documents, containers and formats that Pillow only identifies; EPS would start Ghostscript.
_NO_IMAGES = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}


class ImageError(DataError):
    """An image that can't be read.

    A worker process of a DataLoader passes an error on as its printed traceback; this class extracts its own message
    from there, so that the file is named in one line, wherever it was read.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition("ImageError: ")[2].strip())


@cache
def image_suffixes() -> dict[str, str]:
    """Return Pillow's format for each file suffix that can be read; HEIC if ``pillow-heif`` is installed."""
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    suffixes = Image.registered_extensions()
    return {each: name for each, name in suffixes.items() if name in Image.OPEN and name not in _NO_IMAGES}


def is_image_file(path: str | Path) -> bool:
    """Whether a file has the suffix of an image and is not hidden."""
    path = Path(path)
    return path.suffix.lower() in image_suffixes() and not path.name.startswith(".")


def read_image(path: Path, exif: Exif = "ignore") -> Image.Image:
    """Return the image in a file, decoded, in RGB.

    Args:
        path: File in any format that Pillow reads.
        exif: ``apply`` rotates as the EXIF data says (:func:`upright`), ``ignore`` takes the pixels as stored. The
            published data sets are trained and evaluated with ``ignore``, as in the papers.

    Raises:
        ImageError: if the file is missing, empty, truncated, too large or no image; names the file.
        ConfigurationError: for another value of ``exif``.
    """
    if exif not in get_args(Exif):
        raise unknown("exif", exif, get_args(Exif))
    try:
        with Image.open(path, formats=sorted(set(image_suffixes().values()))) as image:
            check_size(image.size)
            return rgb(upright(image) if exif == "apply" else image)
    except FileNotFoundError as error:
        raise ImageError(f"{path} is missing: there is no such file") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder; give the path of an image file") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is larger than Pillow opens ({error}); save it with fewer pixels") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:  # decoders raise exceptions of any type
        raise ImageError(f"{path} can't be read as an image: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    if path.is_file() and path.stat().st_size == 0:
        return "it is empty (0 bytes)"
    if path.suffix.lower() in (".heic", ".heif") and path.suffix.lower() not in image_suffixes():
        return "HEIC needs the package pillow-heif (pip install 'mrcert_pl[heic]')"
    return f"{' '.join(str(error).split())}. Replace or remove the file"


def upright(image: Image.Image) -> Image.Image:
    """Return an image rotated as its EXIF data says; damaged EXIF data states no rotation.

    Pillow's ``exif_transpose`` also encodes the other EXIF data again, and raises for values that it can't encode.
    """
    image.load()
    orientation: int | None = None
    with suppress(Exception):  # damaged EXIF data raises exceptions of any type
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    method = None if orientation is None else _TRANSPOSITIONS.get(orientation)
    return image if method is None else image.transpose(method)


def check_size(size: tuple[int, int]) -> None:
    """Refuse images that take too much memory when they are decoded or resized.

    Args:
        size: Width and height in pixels, as Pillow's ``Image.size``.

    Raises:
        ImageError: for no pixels, more than ``MAX_PIXELS``, or sides in a ratio above ``MAX_ASPECT``.
    """
    width, height = size
    if min(size) < 1:
        raise ImageError(f"it is empty: {width} x {height} pixels")
    if width * height > MAX_PIXELS or max(size) > MAX_ASPECT * min(size):
        raise ImageError(
            f"an image may have {MAX_PIXELS:,} pixels and sides in a ratio of {MAX_ASPECT}:1 at most, "
            f"got {width:,} x {height:,}"
        )


def rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in 8-bit RGB: 16 bits are scaled, transparency is dropped.

    Raises:
        ImageError: for an image that :func:`check_size` refuses, of floating-point numbers, whose range is unknown,
            or of more than 16 bits.
    """
    check_size(image.size)
    if image.mode == "F":
        raise ImageError("it holds floating-point numbers without a known range (mode F); save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow would clip at 255. It opens some 16-bit files in the 32-bit mode I.
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ImageError(f"it holds whole numbers from {pixels.min()} to {pixels.max()}; save it with 8 or 16 bits")
        image = Image.fromarray(((2 * pixels.astype(np.uint32) + 257) // 514).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        # Pillow warns when it has to drop the transparency of a palette on its own.
        image = image.convert("RGBA")
    return image.convert("RGB")
