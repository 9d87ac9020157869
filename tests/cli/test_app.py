"""One way to fail: one message for what a user can fix, a traceback for a defect."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf.errors import OmegaConfBaseException

from mrcert_pl.cli.app import explain, failing_plainly
from mrcert_pl.errors import ConfigurationError, DataError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConfigurationError("a is wrong; give b"), "error: a is wrong; give b\n"),
        (DataError("no images"), "error: no images\n"),
        (PermissionError(13, "Permission denied", "/x"), "error: Permission denied: /x (outputs go below "),
        (OmegaConfBaseException("no such key"), "error: no such key\n"),
    ],
)
def test_an_error_that_can_be_fixed_is_one_message(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped, failing_plainly("(a hint)"):
        raise error
    assert stopped.value.code == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.err.endswith("(a hint)\n")
    assert printed.out == ""


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyError("a"), OSError("without a number")])
def test_a_defect_keeps_its_traceback(error: Exception) -> None:
    assert explain(error) is None
    with pytest.raises(type(error)), failing_plainly():
        raise error


def test_a_traceback_that_is_asked_for() -> None:
    with pytest.raises(ConfigurationError), failing_plainly(traceback_requested=True):
        raise ConfigurationError("a is wrong")


def test_sigterm_is_no_success() -> None:
    with pytest.raises(SystemExit) as stopped, failing_plainly():
        raise SIGTERMException
    assert stopped.value.code == 143
    with pytest.raises(SystemExit) as stopped, failing_plainly():
        sys.exit(3)
    assert stopped.value.code == 3


def test_a_failed_command_prints_its_error_and_nothing_of_hydras(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("eval", "checkpoint=nowhere.ckpt")
    printed = capsys.readouterr()
    assert printed.err.startswith("error: there is no checkpoint nowhere.ckpt")
    assert printed.err.endswith("(HYDRA_FULL_ERROR=1 shows the traceback)\n")
    assert "Error executing job" not in printed.err + printed.out


def test_the_traceback_is_shown_on_request(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "mrcert_pl.cli.eval", "checkpoint=nowhere.ckpt"]
    environment = {name: value for name, value in os.environ.items() if name != "MRCERT_TRACEBACK"}
    environment["HYDRA_FULL_ERROR"] = "1"
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "there is no checkpoint nowhere.ckpt" in done.stderr
