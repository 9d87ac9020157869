"""Bodies of HTTP requests: read within the limits of the server."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from mrcert_pl.data.images import image_suffixes
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.guard.uploads import UploadError, file_in_form

PATH = "/predict"
"""Path of the endpoint."""

_TYPES = ("image/", "application/octet-stream")
_FORM = "multipart/form-data"
# Bytes that are read and dropped above the limit, as a multiple of it: a client whose connection is closed while it
# sends does not read the answer.
_DRAINED = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Args:
        max_megabytes: Maximum size of an upload.
        max_megapixels: Maximum number of pixels of an image.
        max_requests: Maximum number of concurrent requests; the next one gets status 503.
        body_timeout: Seconds for the upload of a body.
        timeout: Seconds that a request may wait for its evaluation.
        batch_timeout: Seconds to wait for further requests of a batch.
        formats: Accepted formats, by Pillow's names.

    Raises:
        ConfigurationError: for a limit that is not positive, a format that is not decoded, or no format at all.
    """

    max_megabytes: float = 10
    max_megapixels: float = 50
    max_requests: int = 64
    body_timeout: float = 30
    timeout: float = 120
    batch_timeout: float = 0.02
    formats: Sequence[str] = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_megapixels", "max_requests", "body_timeout", "timeout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigurationError(f"{name} must be more than 0, got {value!r}")
        wait = self.batch_timeout
        if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait < self.timeout:
            raise ConfigurationError(f"batch_timeout must be from 0 to below timeout={self.timeout:g}, got {wait!r}")
        if not isinstance(self.max_requests, int):
            raise ConfigurationError(f"max_requests must be a whole number, got {self.max_requests!r}")
        known = sorted(set(image_suffixes().values()))
        if isinstance(self.formats, str) or not isinstance(self.formats, Sequence) or not self.formats:
            raise ConfigurationError(f"formats must name at least one of: {', '.join(known)}")
        for name in self.formats:
            if str(name).upper() not in known:
                raise unknown("format", name, known)


class Upload(NamedTuple):
    """A request: an encoded image, and whether the maps are requested."""

    content: bytes
    map: bool


async def received(request: Request, map: bool = False) -> Upload:
    """Read the image in the body of a request, within the limits in ``app.state.limits``."""
    limits: Limits = request.app.state.limits
    kind = request.headers.get("content-type", "")
    client = request.client.host if request.client else "an unknown address"
    try:
        content = await asyncio.wait_for(_body(request, int(limits.max_megabytes * 1e6)), limits.body_timeout)
    except asyncio.TimeoutError:
        raise HTTPException(408, f"the upload took more than {limits.body_timeout:g} seconds") from None
    except ClientDisconnect:
        _log.warning("upload aborted by %s", client)
        raise HTTPException(499, "the client closed the connection") from None
    if kind.lower().startswith(_FORM):
        try:
            return Upload(file_in_form(content, kind), map)
        except UploadError as error:
            raise HTTPException(error.status, error.detail) from None
    if not kind.lower().startswith(_TYPES):
        raise HTTPException(
            415,
            "send the image as the body: curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg "
            f"...{PATH}, or as a file of a form: curl -F image=@photo.jpg ...{PATH}",
        )
    return Upload(content, map)


async def _body(request: Request, max_bytes: int) -> bytes:
    kept, dropped = bytearray(), 0
    async for chunk in request.stream():
        if len(kept) + len(chunk) <= max_bytes and not dropped:
            kept += chunk
        else:
            dropped += len(chunk)
            if dropped > _DRAINED * max_bytes:
                break
    if dropped:
        raise HTTPException(413, f"the upload is too large; at most {max_bytes:,} bytes are accepted")
    return bytes(kept)
