"""The guard over HTTP, with LitServe."""

import asyncio
import base64
import io
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Annotated, Any, Literal, NamedTuple

import litserve
from fastapi import Depends, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from jaxtyping import Bool
from litserve.utils import WorkerSetupStatus
from PIL import Image
from starlette.requests import ClientDisconnect
from torch import Tensor

from mrcert_pl.defenders import OutputLevel
from mrcert_pl.errors import ConfigurationError, MRCertError
from mrcert_pl.guard.base_model import device_named
from mrcert_pl.guard.gate import DECISION, Gate, Metrics
from mrcert_pl.guard.guard import Guard
from mrcert_pl.guard.uploads import UploadError, file_in_form, image_in
from mrcert_pl.guard.verdict import GuardVerdict

PATH = "/predict"
_HOSTS = ("127.0.0.1", "0.0.0.0", "::")
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
        ConfigurationError: for a limit that is not positive.
    """

    max_megabytes: float = 10
    max_megapixels: float = 50
    max_requests: int = 64
    body_timeout: float = 30
    timeout: float = 120
    batch_timeout: float = 0.02
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_megapixels", "max_requests", "body_timeout", "timeout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigurationError(f"{name} must be more than 0, got {value!r}")
        if not 0 <= self.batch_timeout < self.timeout:
            raise ConfigurationError(
                f"batch_timeout must be from 0 to timeout={self.timeout}, got {self.batch_timeout}"
            )


class Upload(NamedTuple):
    """A request: an encoded image, and whether the maps are requested."""

    content: bytes
    map: bool


class Prepared(NamedTuple):
    """The model's input for an upload or the reason for its refusal, and whether the maps are requested."""

    image: Tensor | MRCertError
    map: bool


class Answer(NamedTuple):
    """The verdict on an upload or the reason for its refusal, and whether the maps are requested."""

    verdict: GuardVerdict | MRCertError
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
    if kind.startswith(_FORM):
        try:
            return Upload(file_in_form(content, kind), map)
        except UploadError as error:
            raise HTTPException(error.status, error.detail) from None
    if not kind.startswith(_TYPES):
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


def serve(
    make_guard: Callable[[str], Guard],
    host: str = "127.0.0.1",
    port: int = 8000,
    output: OutputLevel | str = OutputLevel.MAP,
    device: str = "auto",
    limits: Limits | None = None,
    log_level: str = "info",
) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        make_guard: Function at the top level of a module that builds the guard on a device; the worker calls it.
        host: ``127.0.0.1`` for this machine alone, ``0.0.0.0`` or ``::`` for all.
        port: Port number.
        output: Output level; lower levels need fewer mutants.
        device: Device name; ``auto`` is a GPU if there is one.
        limits: Limits of the server.
        log_level: Level of the log.

    Raises:
        ConfigurationError: for an invalid host or port, and as ``make_guard`` does.
        MRCertError: if the worker process dies.
    """
    if host not in _HOSTS:
        raise ConfigurationError(f"host must be one of {', '.join(_HOSTS)}, got {host}")
    if isinstance(port, bool) or not isinstance(port, int) or not 1024 <= port <= 65535:
        raise ConfigurationError(f"port must be a number from 1024 to 65535, got {port}")
    limits, level, place = limits or Limits(), OutputLevel(output), device_named(device)
    # Invalid settings must fail here, not in the worker.
    guard = make_guard("cpu")
    guard.defender.with_output(level)
    server = guard_server(guard, make_guard, level, limits, "cuda" if place.type == "cuda" else "cpu")
    del guard
    _log.info(
        "Once /health says ok (Ctrl-C stops the server):\n"
        "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg http://localhost:%d%s",
        port,
        PATH,
    )
    with _signals_stop_once():
        try:
            server.run(host=host, port=port, log_level=log_level, generate_client_file=False)
        except KeyboardInterrupt:  # before all processes were started
            for process in multiprocessing.active_children():
                process.terminate()
    if server.failure:
        raise MRCertError(f"the server has stopped: {server.failure}; the log above may say why (out of memory?)")


def guard_server(
    guard: Guard,
    make_guard: Callable[[str], Guard],
    output: OutputLevel,
    limits: Limits,
    accelerator: Literal["cpu", "cuda"] = "cpu",
) -> "GuardServer":
    """Build a server with one worker.

    Args:
        guard: An equal guard, for ``/info``.
        make_guard: Builds the guard of the worker.
        output: Output level.
        limits: Limits of the server.
        accelerator: Kind of device of the worker.
    """
    api = GuardAPI(make_guard, output, limits, guard.batch_size)
    metrics = Metrics()
    gate = (Gate, {"path": PATH, "limit": limits.max_requests, "metrics": metrics})
    server = GuardServer(api, accelerator=accelerator, devices=1, timeout=limits.timeout, middlewares=[gate])
    server.app.state.limits = limits
    server.add_endpoints(service_info(guard, output), metrics)
    return server


def service_info(guard: Guard, output: OutputLevel) -> dict[str, Any]:
    """Facts about a guard for ``/info``; no path of a file is among them."""
    image_px = guard.model.image_px
    return {
        "classes": list(guard.class_names),
        "patch": {"shapes_px": [list(shape) for shape in guard.patch.shapes_px(image_px)], "image_px": list(image_px)},
        "defender": guard.defender.name,
        "output": output.value,
        "require": guard.policy.require,
        "exif": guard.exif,
        "meaning": guard.legend(),
    }


class GuardServer(litserve.LitServer):
    """LitServer with endpoints of our own and a shutdown that runs once.

    LitServe 0.2 monitors its workers in a thread that reads an event in its manager process. During a shutdown it finds
    the manager or a worker gone, and prints a traceback or starts a second shutdown. Here the event is in this process,
    the first shutdown sets it, and every other one waits for the first.

    Attributes:
        failure: Reason of a shutdown that was not requested, or ``None``.
    """

    failure: str | None = None
    _shutdown_event: Any

    def add_endpoints(self, info: dict[str, Any], metrics: Metrics) -> None:
        """Replace LitServe's endpoints: ``/health`` without the key, ``/info`` and ``/metrics`` with it."""
        router = self.app.router
        ours = {"/", self.healthcheck_path, self.info_path}
        router.routes[:] = [route for route in router.routes if getattr(route, "path", None) not in ours]
        with_key = [Depends(self.setup_auth())]

        @self.app.get("/health")
        async def health() -> PlainTextResponse:
            statuses = list(self.workers_setup_status.values())
            ready = bool(statuses) and all(status == WorkerSetupStatus.READY for status in statuses)
            return PlainTextResponse("ok") if ready else PlainTextResponse("not ready", 503)

        @self.app.get("/info", dependencies=with_key)
        async def describe() -> JSONResponse:
            return JSONResponse(info)

        @self.app.get("/metrics", dependencies=with_key)
        async def count() -> PlainTextResponse:
            return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    def _init_manager(self, num_api_servers: int) -> Any:
        manager = super()._init_manager(num_api_servers)
        self._shutdown_event = threading.Event()
        self._shutdown_lock = threading.Lock()
        return manager

    def launch_inference_worker(self, lit_api: litserve.LitAPI) -> Any:
        # Ctrl-C reaches every process of a terminal; this process stops the worker, which inherits that it ignores it.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return super().launch_inference_worker(lit_api)
        finally:
            signal.signal(signal.SIGINT, handler)

    def _perform_graceful_shutdown(self, manager: Any, uvicorn_workers: Any, shutdown_reason: str = "normal") -> None:
        with self._shutdown_lock:
            if self._shutdown_event.is_set():
                return
            self._shutdown_event.set()
            if shutdown_reason not in ("normal", "keyboard_interrupt"):
                self.failure = shutdown_reason
            super()._perform_graceful_shutdown(manager, uvicorn_workers, shutdown_reason)


@contextmanager
def _signals_stop_once() -> Iterator[None]:
    """Treat SIGTERM as SIGINT, once, and only in this process, which stops the others."""
    process, numbers = os.getpid(), (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        # The process of the HTTP server inherits this handler.
        if os.getpid() == process:
            for each in numbers:
                signal.signal(each, signal.SIG_IGN)
            raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _png(safe: Bool[Tensor, "top left"]) -> str:
    """A map as a black and white PNG in base64, white where it is safe."""
    file = io.BytesIO()
    Image.fromarray(safe.numpy()).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
