"""Composition of the configuration and error handling, shared by all commands."""

import difflib
import functools
import hashlib
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrcert_pl.cli import jobs, most_specific, naming, slurm, usage
from mrcert_pl.cli.adopt import adopted
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.cli.stopping import stopping_quietly
from mrcert_pl.errors import MRCertError

if TYPE_CHECKING:
    from mrcert_pl.results.schema import RunDocument

_FULL_ERROR = "HYDRA_FULL_ERROR"
_STARTED = "MRCERT_STARTED"
_TRACEBACK = "MRCERT_TRACEBACK"
_HINT = f"({_FULL_ERROR}=1 shows the traceback)"
_TERMINATED = 143
# PyTorch's error when a loading process was ended by a signal.
_ENDED_WORKER = re.compile(r"DataLoader worker \(pid[^)]*\) is killed by signal: (?P<signal>\w+( \w+)?)")

most_specific.register()
naming.register()
slurm.register()


def command(
    config_name: str, config_dir: Path = CONF_DIR
) -> Callable[[Callable[[DictConfig], "RunDocument | None"]], Callable[[], None]]:
    """Make a Hydra command of a function from the composed configuration to its result, if it has one.

    Args:
        config_name: name of the configuration.
        config_dir: folder of the configuration.

    An error that the user can fix is printed as one message, and the exit code is 1. Every other exception, and
    every exception with ``HYDRA_FULL_ERROR=1`` in the environment, keeps its traceback. A multirun ends with a table
    of its jobs, also if one of them fails.
    """

    def decorate(task: Callable[[DictConfig], "RunDocument | None"]) -> Callable[[], None]:
        @functools.wraps(task)
        def job(cfg: DictConfig) -> None:
            from mrcert_pl.views.wandb import run_closed

            _log_plainly()
            # Here, and not around Hydra: its own report of a failed job adds nothing to ours.
            traceback_requested = os.environ.get(_TRACEBACK) == "1"
            with (
                jobs.recorded() as keep,
                ending_with_traceback(),
                failing_plainly(_HINT, traceback_requested),
                run_closed(),
            ):
                if (result := task(cfg)) is not None:
                    keep(result)

        hydra_main = hydra.main(config_path=str(config_dir), config_name=config_name, **VERSION_BASE)(job)

        def run() -> None:
            if usage.requested(sys.argv[1:]):
                print(usage.help_of(config_dir / f"{config_name}.yaml", sys.argv[1:]))
                return
            _check_flags({*sys.argv[1:]})
            # The jobs of the command inherit it, wherever they run.
            os.environ[_STARTED] = time.strftime("%Y-%m-%d %H:%M:%S")
            os.environ.setdefault(_TRACEBACK, os.environ.get(_FULL_ERROR, "0"))
            # Without this Hydra prints a traceback of its own and ends the process.
            os.environ[_FULL_ERROR] = "1"
            with failing_plainly(_HINT, os.environ[_TRACEBACK] == "1"):
                sys.argv = [sys.argv[0], *adopted(config_name, sys.argv[1:])]
                with jobs.shown_at_end():
                    hydra_main()

        @functools.wraps(task)
        def main() -> None:
            with stopping_quietly():
                run()

        return main

    return decorate


def _check_flags(words: set[str]) -> None:
    """Refuse flags of Hydra that cannot work."""
    if words & {"-sc", "--shell-completion"}:
        # Hydra's would complete the first command that is installed, whichever is typed.
        fail('mrcert completes all its commands:  eval "$(mrcert --completion bash)"')
    if words & {"-m", "--multirun"} and words & {"-c", "--cfg", "-i", "--info"}:
        fail("--cfg and --info show one configuration: leave out -m, and give one value of each setting")


def completed(cfg: DictConfig, folder: Path | None = None) -> DictConfig:
    """Return the composed configuration with the facts of this run: its folder, identity and command.

    Args:
        cfg: the composed configuration.
        folder: folder of an earlier run that is resumed; default: that of Hydra.
    """
    job = HydraConfig.get()
    folder = folder or Path(job.runtime.output_dir)
    group = f"{job.job.config_name} {os.environ[_STARTED]}" if job.mode == RunMode.MULTIRUN else None
    facts = {
        "run_dir": str(folder),
        "run_id": hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12],
        "run_group": group,
        "command": job.job.config_name,
    }
    merged = OmegaConf.merge(cfg, {"paths": facts})
    assert isinstance(merged, DictConfig)
    return merged


def _log_plainly() -> None:
    """Show the messages of the tasks as plain lines: notices on standard output, warnings on standard error."""
    # It has a handler of its own, and its messages would be printed by Hydra's as well.
    logging.getLogger("huggingface_hub").propagate = False
    # Its errors are raised as well.
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)
    # One epoch is enough for a first trial.
    logging.getLogger("timm.scheduler").setLevel(logging.ERROR)
    log = logging.getLogger("mrcert_pl")
    log.handlers.clear()
    log.propagate = False
    log.setLevel(logging.INFO)
    notices, warnings = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stderr)
    notices.addFilter(lambda record: record.levelno < logging.WARNING)
    warnings.setLevel(logging.WARNING)
    for handler in (notices, warnings):
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)


def explain(error: BaseException) -> str | None:
    """Return one message for an error that the user can fix, ``None`` for a defect of the program."""
    if isinstance(error, MRCertError):
        return str(error)
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        return str(cause) if isinstance(cause, MRCertError) else str(error)
    if isinstance(error, OverrideParseException):
        # Between Hydra's introduction, which repeats the override, and its link; the last line may be a mere caret.
        lines = str(error.message).split("\nSee https://hydra")[0].split("\n")
        problem = next((line for line in reversed(lines) if re.search(r"\w", line)), "")
        problem = "a character has no meaning there" if problem.startswith("Lexer") else problem
        name, equals, value = str(error.override).partition("=")
        # A shell takes away the outer quotes.
        quoted = f"""; other characters than letters and digits need two pairs of quotes: '{name}="{value}"'"""
        return f"{error.override} can't be read as name=value ({problem}){quoted if equals else ''}"
    if isinstance(error, ConfigCompositionException):
        return _composition(str(error))
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return str(error)
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        # Hydra names no group: trainer=3, model=null.
        return "the value of a group must be the name of an option, neither a number nor null; --help lists both"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, BrokenPipeError):
        file = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{file} (outputs go below paths.output_dir)"
    if isinstance(error, RuntimeError) and (ended := _ENDED_WORKER.match(str(error))):
        return f"{ended[0]}; if memory is short, dataset.workers=0 loads the images without further processes"
    return None


def _composition(message: str) -> str:
    """Return Hydra's message about an option or a setting in our words, with the name that is meant."""
    message = message.strip()
    if option := re.match(r"In '\w+': Could not find '(?P<group>[\w/]+)/(?P<name>[^'/]+)'", message):
        options = re.findall(r"^\t(\S+)$", message, re.MULTILINE)
        listed = f"{option['group']} is one of: {', '.join(options)}"
        return f"there is no {option['group']}={option['name']}{_meant(option['name'], options)} {listed}"
    if setting := re.match(r"Could not (?:override|delete from config\.) '(?P<name>[\w.@]+)'", message):
        name, known = setting["name"], usage.names()
        if name == "model.backbone_args" and "={" in message:
            return f"{name} does not have all of these names; docs/howto/backbone.md shows how to add one"
        if name in known:
            return f"this command has no setting {name}; --help lists its settings"
        return f"there is no setting {name}{_meant(name, known)} --help lists all settings"
    # Hydra's advice on new names: settings that no code reads.
    lines = [line for line in message.splitlines() if not line.startswith("To append to your")]
    return "\n".join([*lines, "--help lists all settings and their values"])


def _meant(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ";"


@contextmanager
def ending_with_traceback() -> Iterator[None]:
    """End the process after the traceback of a defect, without the frames and the report of Hydra."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        sys.exit(1)


@contextmanager
def failing_plainly(hint: str = "", traceback_requested: bool = False) -> Iterator[None]:
    """End the process with one message for an error that the user can fix, and with 143 after SIGTERM."""
    try:
        yield
    except SystemExit as ended:
        # Lightning's exception for SIGTERM is a SystemExit without a code: it would look like success.
        if type(ended).__name__ == "SIGTERMException":
            sys.exit(_TERMINATED)
        raise
    except Exception as error:
        if (worker := _ENDED_WORKER.match(str(error))) and worker["signal"] == "Terminated":
            # SIGTERM went to all processes of the command, and a loading process ended first.
            sys.exit(_TERMINATED)
        message = explain(error)
        if traceback_requested or message is None:
            raise
        fail(f"{message}\n{hint}" if hint else message)


def fail(message: str) -> None:
    """Print an error and end the process with exit code 1.

    A message may quote what a file holds, which must not control the terminal.
    """
    from mrcert_pl.views.words import printable

    lines = (printable(line) for line in message.split("\n"))
    print("error: " + "\n".join(lines), file=sys.stderr)
    sys.exit(1)
