"""LitServe's steps from a request to its response: decode, batch, evaluate, encode."""

import base64
import io
from collections.abc import Callable
from typing import Annotated, NamedTuple

import litserve
from fastapi import Depends
from fastapi.responses import JSONResponse
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from mrcert_pl.defenders import OutputLevel
from mrcert_pl.errors import MRCertError
from mrcert_pl.guard.gate import DECISION
from mrcert_pl.guard.guard import Guard
from mrcert_pl.guard.receiving import PATH, Limits, Upload, received
from mrcert_pl.guard.uploads import UploadError, image_in
from mrcert_pl.guard.verdict import GuardVerdict


class Prepared(NamedTuple):
    """The model's input for an upload or the reason for its refusal, and whether the maps are requested."""

    image: Tensor | MRCertError
    map: bool


class Answer(NamedTuple):
    """The verdict on an upload or the reason for its refusal, and whether the maps are requested."""

    verdict: GuardVerdict | MRCertError
    map: bool


class GuardAPI(litserve.LitAPI):
    """One verdict per request; concurrent requests are evaluated in batches.

    A refused upload must not affect the other uploads of its batch, so its error takes the place of its verdict.

    Args:
        make_guard: Builds the guard on a device, in the worker process; a function that can be pickled.
        output: Output level.
        limits: Limits of the server.
        batch_size: Maximum number of requests per batch.
    """

    def __init__(
        self, make_guard: Callable[[str], Guard], output: OutputLevel, limits: Limits, batch_size: int
    ) -> None:
        # With batches of one request LitServe would call predict without a list.
        super().__init__(max_batch_size=max(2, batch_size), batch_timeout=limits.batch_timeout, api_path=PATH)
        self.make_guard = make_guard
        self.output = output
        self.limits = limits

    def setup(self, device: str) -> None:
        self.guard = self.make_guard(device)

    # LitServe makes a FastAPI endpoint of these types; its base class declares requests and answers without them.
    def decode_request(self, request: Annotated[Upload, Depends(received)]) -> Prepared:  # type: ignore[override]
        try:
            image = image_in(request.content, self.limits.formats, int(self.limits.max_megapixels * 1e6))
            return Prepared(self.guard.prepare(image), request.map)
        except UploadError as error:
            return Prepared(error, request.map)
        except Exception as error:  # libraries that decode and resize raise errors of any type
            return Prepared(UploadError(422, f"the image can't be processed: {error}"), request.map)

    def batch(self, inputs: list[Prepared]) -> list[Prepared]:
        return inputs

    def predict(self, inputs: list[Prepared]) -> list[Answer]:  # type: ignore[override]
        images = [each.image for each in inputs if isinstance(each.image, Tensor)]
        outcomes = iter(self.guard.each_alone(images, self.output) if images else [])
        return [Answer(next(outcomes) if isinstance(image, Tensor) else image, map) for image, map in inputs]

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        return output

    def encode_response(self, output: Answer) -> JSONResponse:  # type: ignore[override]
        verdict = output.verdict
        if isinstance(verdict, MRCertError):
            return JSONResponse({"detail": str(verdict)}, getattr(verdict, "status", 500))
        content = verdict.to_json()
        # The number within the batch is meaningless to a client.
        del content["image"]
        maps = {"maps": [_png(each) for each in verdict.maps]} if output.map else {}
        return JSONResponse(content | maps, headers={DECISION: verdict.decision or "none"})


def _png(safe: Bool[Tensor, "top left"]) -> str:
    """A map as a black and white PNG in base64, white where it is safe."""
    file = io.BytesIO()
    Image.fromarray(safe.numpy()).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
