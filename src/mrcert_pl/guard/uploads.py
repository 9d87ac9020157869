"""Uploads: untrusted bytes to decoded images, or a refusal with a status."""

import re
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from mrcert_pl.data import ImageError
from mrcert_pl.data.images import check_size
from mrcert_pl.errors import DataError


class UploadError(DataError):
    """A refused upload.

    Args:
        status: HTTP status.
        detail: Reason.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def image_in(content: bytes, formats: Sequence[str], max_pixels: int) -> Image.Image:
    """Decode the image in an upload; its size is checked before.

    Args:
        content: Encoded image.
        formats: Accepted formats of Pillow; no other decoder is tried.
        max_pixels: Maximum number of pixels.

    Raises:
        UploadError: for an upload that is empty, damaged, too large, too long or not an image in one of the formats.
    """
    if not content:
        raise UploadError(422, "the upload is empty")
    try:
        image = Image.open(BytesIO(content), formats=list(formats))
    except Image.DecompressionBombError as error:
        raise UploadError(413, f"the image has more than the {max_pixels:,} pixels that are accepted") from error
    except Exception as error:  # decoders raise errors of any type
        raise UploadError(415, f"the upload is no intact image in one of the formats {', '.join(formats)}") from error
    if image.width * image.height > max_pixels:
        raise UploadError(
            413, f"the image has {image.width:,} x {image.height:,} pixels; at most {max_pixels:,} are accepted"
        )
    try:
        check_size(image.size)
        image.load()
    except ImageError as error:
        raise UploadError(422, str(error)) from error
    except Exception as error:
        raise UploadError(422, f"the image is damaged: {error}") from error
    return image


def file_in_form(content: bytes, content_type: str) -> bytes:
    """Return the file in a ``multipart/form-data`` body (RFC 7578).

    Raises:
        UploadError: for a body without boundaries, without a file or with several.
    """
    boundary = re.search(r'(?i)boundary="?([^";]{1,70})"?', content_type)
    if boundary is None:
        raise UploadError(415, "the form has no boundary in its Content-Type")
    parts = (b"\r\n" + content).split(b"\r\n--" + boundary[1].encode())
    files = []
    for part in parts[1:-1]:
        head, blank, body = part.partition(b"\r\n\r\n")
        if blank and re.search(rb"(?i)^content-disposition:[^\r\n]*filename", head, re.MULTILINE):
            files.append(body)
    if len(files) > 1:
        raise UploadError(422, f"the form has {len(files)} files; send one image per request")
    if files:
        return files[0]
    raise UploadError(422, "the form has no file; send the image as one: curl -F image=@photo.jpg")
