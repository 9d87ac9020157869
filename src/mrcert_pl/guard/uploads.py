"""Pictures from people whom nobody knows."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from mrcert_pl.data.images import rgb
from mrcert_pl.errors import DataError


class UploadError(DataError):
    """An upload that is refused.

    Args:
        status: of HTTP.
        detail: why, in words.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def picture_in(content: bytes, formats: Sequence[str], max_pixels: int) -> Image.Image:
    """The picture in an upload, completely decoded; its size is checked before.

    Args:
        content: the bytes.
        formats: those of Pillow that are taken; no other decoder is tried.
        max_pixels: most pixels that are taken.

    Raises:
        UploadError: for an upload that is empty, no picture, of another format, too large, or damaged.
    """
    if not content:
        raise UploadError(422, "the upload is empty")
    try:
        picture = Image.open(BytesIO(content), formats=list(formats))
    except Image.DecompressionBombError as error:
        raise UploadError(413, f"the picture has more than the {max_pixels:,} pixels that are taken") from error
    except Exception as error:  # decoders raise whatever they stumble over
        raise UploadError(415, f"the upload is no intact picture in one of the formats {', '.join(formats)}") from error
    if picture.width * picture.height > max_pixels:
        raise UploadError(
            413, f"the picture has {picture.width:,} x {picture.height:,} pixels; at most {max_pixels:,} are taken"
        )
    try:
        return rgb(picture)
    except Exception as error:
        raise UploadError(422, f"the picture is damaged: {error}") from error
