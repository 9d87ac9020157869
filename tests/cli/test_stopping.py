"""``mrcert ... | head`` and Ctrl-C: no traceback, and no other error is hidden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrcert_pl.cli.stopping import stopping_quietly


@pytest.mark.parametrize(
    ("program", "arguments"),
    [("main", ["--help"]), ("main", ["train", "--help"]), ("train", ["--help"]), ("main", ["report", "--help"])],
)
def test_a_closed_pipe_is_no_traceback(program: str, arguments: list[str], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    script = [sys.executable, "-m", f"mrcert_pl.cli.{program}", *arguments]
    done = subprocess.run(script, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, timeout=100)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 141) if "report" in arguments else done.returncode == 141


def test_another_broken_pipe_is_an_error() -> None:
    with pytest.raises(BrokenPipeError, match="of a worker"), stopping_quietly():
        raise BrokenPipeError("of a worker")


def test_other_ends_stay_as_they_are() -> None:
    with pytest.raises(SystemExit, match="3"), stopping_quietly():
        sys.exit(3)


def test_ctrl_c_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="130"), stopping_quietly():
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "\nstopped by Ctrl-C\n"


def test_ctrl_c_in_a_run_of_lightning_is_no_failure() -> None:
    def fit() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    with pytest.raises(SystemExit, match="130"), stopping_quietly():
        fit()
