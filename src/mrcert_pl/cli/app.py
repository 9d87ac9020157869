"""What all commands share: how those of Hydra start, and how all of them fail."""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrcert_pl.cli.configuration import CONF_DIR
from mrcert_pl.errors import MRCertError

_FULL_ERROR = "HYDRA_FULL_ERROR"
STARTED = "MRCERT_STARTED"
"""When the command was started: its jobs, wherever they run, inherit it."""


def _patch_of_attack(folder: str | None) -> Any:
    """The patch of an attacked set, for the folders that Hydra makes before a command begins; ``None`` without one."""
    from mrcert_pl.data.attacked_header import read_header

    if folder is None:
        return None
    # That there is no such set is the command's own error.
    with suppress(MRCertError):
        return read_header(Path(folder)).patch


OmegaConf.register_new_resolver("patch_of_attack", _patch_of_attack, replace=True)
OmegaConf.register_new_resolver("conf_dir", lambda: str(CONF_DIR), replace=True)


def command(
    config_name: str, config_dir: Path = CONF_DIR
) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make a Hydra command out of a function of the composed configuration.

    An error that the user can mend is printed as one message, and the exit code is 1. Every other exception, and
    every exception with ``HYDRA_FULL_ERROR=1`` in the environment, keeps its stack trace.
    """

    def decorate(task: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(task)
        def job(cfg: DictConfig) -> None:
            from mrcert_pl.dashboard import run_closed

            with run_closed():
                task(cfg)

        hydra_main = hydra.main(version_base="1.3", config_path=str(config_dir), config_name=config_name)(job)

        @functools.wraps(task)
        def main() -> None:
            os.environ[STARTED] = time.strftime("%Y-%m-%d %H:%M:%S")
            asked_for_trace = os.environ.get(_FULL_ERROR) == "1"
            # Without this Hydra would print its own trace and end the process.
            os.environ[_FULL_ERROR] = "1"
            try:
                hydra_main()
            except Exception as error:
                message = explain(error)
                if asked_for_trace or message is None:
                    raise
                fail(f"{message}\n({_FULL_ERROR}=1 shows the stack trace)")

        return main

    return decorate


def explain(error: BaseException) -> str | None:
    """One message for an error that the user can mend, ``None`` for a defect of the program."""
    if isinstance(error, MRCertError):
        return str(error)
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        return str(cause) if isinstance(cause, MRCertError) else str(error)
    if isinstance(error, ConfigCompositionException):
        return f"{error}\n--help lists all settings and what they can be"
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {error.filename} (if it was to be written: outputs go below paths.output_dir)"
    return None


@contextmanager
def failing_plainly() -> Iterator[None]:
    """End a command without Hydra with the one message of an error that the user can mend."""
    try:
        yield
    except Exception as error:
        if (message := explain(error)) is None:
            raise
        fail(message)


def fail(message: str) -> None:
    """Print an error and end the process with exit code 1."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
