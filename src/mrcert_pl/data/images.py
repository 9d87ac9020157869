"""Reading pictures from files, whatever is in them."""

from pathlib import Path

import numpy as np
from PIL import Image

from mrcert_pl.errors import DataError


class ImageError(DataError):
    """A picture that can't be read.

    A worker process of a DataLoader hands an error on as its printed stack trace; this class finds its own message
    in there, so that the file is named in one line, wherever it was read.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition("ImageError: ")[2].strip())


def read_image(path: Path) -> Image.Image:
    """The RGB picture in a file, completely decoded. A rotation in its EXIF data is not applied, as in the papers.

    Raises:
        ImageError: naming the file, if it is missing, empty, truncated, too large, or no picture.
    """
    try:
        with Image.open(path) as image:
            return rgb(image)
    except FileNotFoundError as error:
        raise ImageError(f"{path} is missing: it is listed, but there is no such file") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is larger than Pillow opens ({error}); save it with fewer pixels") from error
    except Exception as error:  # decoders raise whatever they stumble over
        reason = "it is empty (0 bytes)" if path.is_file() and path.stat().st_size == 0 else str(error)
        raise ImageError(f"{path} can't be read as a picture: {reason}. Replace it by an intact copy") from error


def rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode in 8-bit RGB: 16 bit are scaled, transparency is dropped.

    Raises:
        ImageError: for a picture of floating-point numbers, whose range is unknown, or of more than 16 bits.
    """
    if image.mode == "F":
        raise ImageError("it holds floating-point numbers without a known range (mode F); save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow would clip at 255. It opens some 16-bit files in the 32-bit mode I.
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ImageError(f"it holds whole numbers from {pixels.min()} to {pixels.max()}; save it with 8 or 16 bits")
        image = Image.fromarray(np.round(pixels / 257).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        # Pillow warns when it has to drop the transparency of a palette on its own.
        image = image.convert("RGBA")
    return image.convert("RGB")
