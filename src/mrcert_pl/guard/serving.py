"""The guard over HTTP, with LitServe."""

import base64
import io
import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import litserve
from fastapi import Depends, HTTPException, Request
from fastapi.responses import JSONResponse
from PIL import Image
from torch import BoolTensor, Tensor

from mrcert_pl.defenders import OutputLevel
from mrcert_pl.guard.guard import Guard
from mrcert_pl.guard.uploads import UploadError, picture_in
from mrcert_pl.guard.verdict import GuardVerdict

PATH = "/predict"
_TYPES = ("image/", "application/octet-stream")
# Of what is too large, so many times the limit is thrown away before the connection is closed: a client that is cut
# off while it sends doesn't get to read the answer.
_DRAINED = 16


class Upload(NamedTuple):
    """A request: the bytes of a picture, and whether the map is asked for."""

    content: bytes
    map: bool


class Prepared(NamedTuple):
    """The image that the model sees of an upload, or why there is none, and whether the map is asked for."""

    image: Tensor | UploadError
    map: bool


class Answer(NamedTuple):
    """The verdict on an upload, or why there is none, and whether the map is asked for."""

    verdict: GuardVerdict | UploadError
    map: bool


async def received(request: Request, map: bool = False) -> Upload:
    """The picture that is the body of a request, within the size that the server takes, ``app.state.max_bytes``."""
    max_bytes: int = request.app.state.max_bytes
    kept, thrown_away = bytearray(), 0
    async for chunk in request.stream():
        if len(kept) + len(chunk) <= max_bytes and not thrown_away:
            kept += chunk
        else:
            thrown_away += len(chunk)
            if thrown_away > _DRAINED * max_bytes:
                break
    if thrown_away:
        raise HTTPException(413, f"the upload is too large; at most {max_bytes:,} bytes are taken")
    if not request.headers.get("content-type", "").startswith(_TYPES):
        raise HTTPException(
            415, f"send the picture itself: curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg ...{PATH}"
        )
    return Upload(bytes(kept), map)


class GuardAPI(litserve.LitAPI):
    """Gives a verdict on one picture per request; pictures that come together are labelled together.

    A bad picture must not spoil the batch that it came in, so what is wrong with it is passed on in its place.

    Args:
        settings: of :meth:`mrcert_pl.Guard.from_checkpoint`.
        want: what the defender is asked for.
        formats: of Pillow, that are taken.
        max_pixels: most pixels of a picture.
        batch_timeout: seconds to wait for further pictures.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        want: OutputLevel | str,
        formats: Sequence[str],
        max_pixels: int,
        batch_timeout: float,
    ) -> None:
        # With a batch of one LitServe would call predict without a list.
        super().__init__(max_batch_size=max(2, settings["batch_size"]), batch_timeout=batch_timeout, api_path=PATH)
        self.settings = dict(settings)
        self.want: OutputLevel | str = want
        self.formats = list(formats)
        self.max_pixels = max_pixels

    def setup(self, device: str) -> None:
        if multiprocessing.parent_process() is not None:
            # Ctrl-C reaches every process of a terminal; the first one stops this one.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.guard = Guard.from_checkpoint(**{**self.settings, "device": device})

    # LitServe makes a FastAPI endpoint of these types.
    def decode_request(self, request: Annotated[Upload, Depends(received)]) -> Prepared:  # type: ignore[override]
        try:
            picture = picture_in(request.content, self.formats, self.max_pixels)
        except UploadError as error:
            return Prepared(error, request.map)
        return Prepared(self.guard.prepare(picture), request.map)

    def batch(self, inputs: list[Prepared]) -> list[Prepared]:
        return inputs

    def predict(self, inputs: list[Prepared]) -> list[Answer]:  # type: ignore[override]
        verdicts = iter(self.guard([each.image for each in inputs if isinstance(each.image, Tensor)], self.want))
        return [Answer(next(verdicts) if isinstance(image, Tensor) else image, map) for image, map in inputs]

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        return output

    def encode_response(self, output: Answer) -> JSONResponse:  # type: ignore[override]
        verdict = output.verdict
        if isinstance(verdict, UploadError):
            return JSONResponse({"detail": verdict.detail}, verdict.status)
        row = verdict.row()
        # The number within its batch says nothing to a client.
        del row["image"]
        return JSONResponse(row | ({"maps": [_png(each) for each in verdict.maps]} if output.map else {}))


def guard_server(
    api: GuardAPI, device: Literal["cpu", "cuda"], max_bytes: int, timeout: float, facts: Mapping[str, Any]
) -> litserve.LitServer:
    """A server with one worker.

    Args:
        api: what it answers.
        device: where the model is.
        max_bytes: most bytes of an upload.
        timeout: seconds that a request may wait for its turn.
        facts: plain values that ``/info`` tells.
    """
    server = litserve.LitServer(api, accelerator=device, devices=1, timeout=timeout, model_metadata=dict(facts))
    server.app.state.max_bytes = max_bytes
    return server


def _png(safe: BoolTensor) -> str:
    """A map as a black and white PNG in base64, white where it is safe."""
    file = io.BytesIO()
    Image.fromarray(safe.numpy()).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
