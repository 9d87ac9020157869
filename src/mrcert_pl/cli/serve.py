"""``mrcert serve``: the guard over HTTP."""

import importlib.util
import os
import signal
from types import FrameType

from omegaconf import DictConfig

from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError

_HOSTS = ("127.0.0.1", "0.0.0.0", "::")


@command("serve")
def main(cfg: DictConfig) -> None:
    """Answer requests until the process is stopped."""
    if importlib.util.find_spec("litserve") is None:
        raise ConfigurationError("mrcert serve needs LitServe: pip install 'mrcert_pl[serve]'")
    if cfg.host not in _HOSTS:
        raise ConfigurationError(f"host is one of {', '.join(_HOSTS)}, not {cfg.host}")
    if not (isinstance(cfg.port, int) and 1024 <= cfg.port <= 65535):
        raise ConfigurationError(f"port is a number from 1024 to 65535, not {cfg.port}")
    for name in ("max_megabytes", "max_megapixels", "timeout"):
        if not cfg[name] > 0:
            raise ConfigurationError(f"{name} must be more than 0, not {cfg[name]}")

    from mrcert_pl.cli.guarded import guard_settings
    from mrcert_pl.guard import Guard
    from mrcert_pl.guard.serving import PATH, GuardAPI, guard_server

    settings = guard_settings(cfg)
    # What is wrong with the settings shall show here, and not in a worker.
    guard = Guard.from_checkpoint(**{**settings, "device": "cpu"})
    guard.defender.with_output(cfg.want)
    facts = {
        "checkpoint": str(cfg.checkpoint),
        "classes": list(guard.class_names),
        "defender": guard.defender.name,
        "want": cfg.want,
        "meaning": guard.legend(),
    }
    api = GuardAPI(settings, cfg.want, list(cfg.formats), int(cfg.max_megapixels * 1e6), cfg.batch_timeout)
    server = guard_server(api, settings["device"], int(cfg.max_megabytes * 1e6), cfg.timeout, facts)
    print(
        "Once /health says ok (Ctrl-C stops the server):\n"
        f"curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg http://localhost:{cfg.port}{PATH}",
        flush=True,
    )
    _stop_together()
    server.run(host=cfg.host, port=cfg.port, log_level=cfg.log_level, generate_client_file=False)


def _stop_together() -> None:
    """Take SIGTERM, which containers are stopped with, for Ctrl-C, and leave it to this process to stop the others."""
    process = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        # The processes of the HTTP server inherit this, and are told to stop.
        if os.getpid() == process:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


if __name__ == "__main__":
    main()
