"""One way to fail: one message for what a user can fix, a traceback for a defect."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mrcert_pl.cli.app import command as command_of
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


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("foo=1", "there is no setting foo; --help lists all settings\n"),
        ("datset=x", "there is no setting datset; did you mean dataset? --help lists all settings\n"),
        ("defender.margn=1", "there is no setting defender.margn; did you mean defender.margin? --help lists"),
        (
            "model.backbone_args={qkv_bias: true}",
            "model.backbone_args does not have all of these names; docs/howto/backbone.md",
        ),
        ("attack.steps=3", "this command has no setting attack.steps; --help lists its settings\n"),
        ("~nothing", "there is no setting nothing; --help lists"),
        ("patch", "patch can't be read as name=value (missing EQUAL at '<EOF>')"),
        (
            "model=vit_sfr",
            "there is no model=vit_sfr; did you mean vit_srf? model is one of: blackbox, column_vit, masked",
        ),
        ("model=zzz", "there is no model=zzz; model is one of: blackbox, column_vit, masked_vit, vit_srf\n"),
        (
            "trainer=3",
            "the value of a group must be the name of an option, neither a number nor null; ",
        ),
        ("model=null", "the value of a group must be the name of an option"),
        ("checkpoint=[a]", "checkpoint must be a path, got ['a']"),
        (
            "checkpoint=bést of all, [x]",
            "checkpoint=bést of all, [x] can't be read as name=value (a character has no meaning there); other "
            """characters than letters and digits need two pairs of quotes: 'checkpoint="bést of all, [x]"'""",
        ),
        ("patch=[", "patch=[ can't be read as name=value (no viable alternative at input '[')"),
    ],
)
def test_a_misspelt_name_gets_the_name_that_is_meant(
    setting: str, message: str, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("eval", setting)
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert "use +" not in error
    assert "hydra.cc" not in error


@pytest.mark.parametrize("setting", ["ckpt_path=[1]", "checkpoint=null", "srf_checkpoint=[1]"])
def test_a_checkpoint_of_a_training_is_a_path(
    setting: str, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("train", setting)
    name = setting.partition("=")[0]
    assert capsys.readouterr().err.startswith(f"error: {name} must be a path, got ")


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyError("a"), OSError("without a number")])
def test_a_defect_keeps_its_traceback(error: Exception) -> None:
    assert explain(error) is None
    with pytest.raises(type(error)), failing_plainly():
        raise error


def test_a_defect_ends_with_its_traceback_and_nothing_of_hydras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "broken.yaml").write_text("seed: 0\n")

    @command_of("broken", tmp_path / "conf")
    def broken(cfg: DictConfig) -> None:
        logging.getLogger("huggingface_hub.utils").warning("once")
        raise RuntimeError("a defect")

    monkeypatch.chdir(tmp_path)
    for name in ("MRCERT_STARTED", "MRCERT_TRACEBACK", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(sys, "argv", ["broken"])
    with pytest.raises(SystemExit, match="1"):
        broken()
    printed = capsys.readouterr()
    assert printed.err.endswith("RuntimeError: a defect\n")
    assert "hydra/" not in printed.err
    assert "Error executing job" not in printed.err + printed.out
    # The hub's own handler prints it, and Hydra's does not.
    assert (printed.err + printed.out).count("once") <= 1


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


def test_sigterm_to_all_processes_of_a_command_is_no_defect() -> None:
    """A loading process may end before the command does."""
    ended = RuntimeError("DataLoader worker (pid 12) is killed by signal: Terminated. ")
    with pytest.raises(SystemExit) as stopped, failing_plainly():
        raise ended
    assert stopped.value.code == 143


def test_a_loading_process_without_memory(capsys: pytest.CaptureFixture[str]) -> None:
    ended = RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. ")
    with pytest.raises(SystemExit, match="1"), failing_plainly():
        raise ended
    assert "killed by signal: Killed; if memory is short, dataset.workers=0" in capsys.readouterr().err


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


@pytest.mark.parametrize("flags", [["-m", "--cfg", "job"], ["--multirun", "-i", "defaults"]])
def test_a_multirun_has_no_single_configuration(
    flags: list[str], command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("eval", "defender=mrcert,vot", *flags)
    assert capsys.readouterr().err == (
        "error: --cfg and --info show one configuration: leave out -m, and give one value of each setting\n"
    )
