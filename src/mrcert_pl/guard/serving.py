"""The guard over HTTP, with LitServe."""

import logging
import multiprocessing
import socket
from collections.abc import Callable
from typing import Any, Literal

from mrcert_pl.defenders import OutputLevel
from mrcert_pl.errors import ConfigurationError, MRCertError, unknown
from mrcert_pl.guard.api import Answer, GuardAPI, Prepared
from mrcert_pl.guard.base_model import device_named
from mrcert_pl.guard.gate import Gate, Metrics
from mrcert_pl.guard.guard import Guard
from mrcert_pl.guard.receiving import PATH, Limits, Upload, received
from mrcert_pl.guard.server import GuardServer, signals_stop_once

__all__ = [
    "PATH",
    "Answer",
    "GuardAPI",
    "GuardServer",
    "Limits",
    "Prepared",
    "Upload",
    "guard_server",
    "received",
    "serve",
    "service_info",
]

_LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")
_HOSTS = ("127.0.0.1", "0.0.0.0", "::")
_log = logging.getLogger(__name__)


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
        ConfigurationError: for an invalid host, port or level of the log, a port in use, and as ``make_guard`` does.
        MRCertError: if the worker process dies.
    """
    if host not in _HOSTS:
        raise ConfigurationError(f"host must be one of {', '.join(_HOSTS)}, got {host}")
    if isinstance(port, bool) or not isinstance(port, int) or not 1024 <= port <= 65535:
        raise ConfigurationError(f"port must be a number from 1024 to 65535, got {port}")
    if log_level not in _LOG_LEVELS:
        raise unknown("log_level", log_level, _LOG_LEVELS)
    limits, level, target = limits or Limits(), OutputLevel(output), device_named(device)
    _check_free(host, port)
    # Invalid settings must fail here, not in the worker.
    guard = make_guard("cpu")
    guard.defender.with_output(level)
    server = guard_server(guard, make_guard, level, limits, "cuda" if target.type == "cuda" else "cpu")
    del guard
    _log.info(
        "Once /health says ok (Ctrl-C stops the server):\n"
        "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg http://localhost:%d%s",
        port,
        PATH,
    )
    with signals_stop_once():
        try:
            server.run(host=host, port=port, log_level=log_level, generate_client_file=False)
        except KeyboardInterrupt:  # before all processes were started
            for process in multiprocessing.active_children():
                process.terminate()
    if server.failure:
        raise MRCertError(
            f"the server has stopped: {server.failure}; the log above may state the cause (out of memory?)"
        )


def _check_free(host: str, port: int) -> None:
    """Refuse an address that another process listens on, before the model is loaded."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the server does: a connection that has ended must not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} of {host} can't be used ({error.strerror}); stop what listens there or name another port"
            ) from error


def guard_server(
    guard: Guard,
    make_guard: Callable[[str], Guard],
    output: OutputLevel,
    limits: Limits,
    accelerator: Literal["cpu", "cuda"] = "cpu",
) -> GuardServer:
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
