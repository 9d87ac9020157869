"""LitServe's server with other endpoints and a shutdown that runs once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import litserve
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from litserve.utils import WorkerSetupStatus

from mrcert_pl.errors import short
from mrcert_pl.guard.gate import Metrics


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
        """Replace LitServe's endpoints: ``/health`` without the key, ``/info`` and ``/metrics`` with it.

        A request whose address has a value of another type is refused with one sentence, as every other one is.
        """
        router = self.app.router
        ours = {"/", self.healthcheck_path, self.info_path}
        router.routes[:] = [route for route in router.routes if getattr(route, "path", None) not in ours]
        with_key = [Depends(self.setup_auth())]

        @self.app.exception_handler(RequestValidationError)
        async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
            first = error.errors()[0]
            kind = "true or false" if first["type"].startswith("bool") else "another value"
            return JSONResponse({"detail": f"{first['loc'][-1]} must be {kind}, got {short(str(first['input']))}"}, 422)

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
def signals_stop_once() -> Iterator[None]:
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
