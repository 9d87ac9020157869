"""Completion: the candidates, and what a real bash makes of them."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mrcert_pl.cli import main
from mrcert_pl.cli.completion import candidates

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def of(line: str) -> list[str]:
    return candidates(line, main._COMMANDS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mrcert ev", ["eval "]),
        ("mrcert a", ["attack ", "audit "]),
        ("mrcert audit ", ["certificates ", "numerics "]),
        ("mrcert audit n", ["numerics "]),
        ("mrcert zzz ", []),
        ("mrcert --v", ["--version "]),
        ("mrcert eval --m", ["--multirun "]),
        ("mrcert eval defender=mrcert_s", ["defender=mrcert_sharp"]),
        ("mrcert eval -m defender=mrcert,vot", ["defender=mrcert,vot", "defender=mrcert,vot_sharp"]),
        ("mrcert audit certificates step", ["step_px="]),
        ("mrcert audit certificates adaptive", ["adaptive.", "adaptive="]),
        ("mrcert train recipe.mask_d", ["recipe.mask_draws="]),
        ("mrcert train rec", ["recipe.", "recipe="]),
        ("mrcert train model=masked_vit model.wi", ["model.window="]),
        ("mrcert train model=masked_vit model.spl", []),
        ("mrcert train model.spl", ["model.split="]),
        ("mrcert train model._t", []),
        ("mrcert train compile=", ["compile=false", "compile=true"]),
        # bash completes file names.
        ("mrcert eval checkpoint=", []),
        ("mrcert report outp", []),
        ("mrcert", []),
    ],
)
def test_candidates(line: str, expected: list[str]) -> None:
    assert of(line) == expected


def test_every_command_and_group_is_a_candidate() -> None:
    assert {word.strip() for word in of("mrcert ")} - {"--help", "--version"} == {
        name.split()[0] for name in main._COMMANDS
    }
    assert of("") == of("mrcert ")
    assert {"dataset=", "model=", "defender=", "patch=", "checkpoint="} <= {*of("mrcert eval ")}


def test_the_script_and_another_shell(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    command("--completion", "bash")
    assert "complete -o default -o nospace -F _mrcert mrcert" in capsys.readouterr().out
    for shell in ((), ("tcsh",)):
        with pytest.raises(SystemExit, match="2"):
            command("--completion", *shell)
        assert capsys.readouterr().err == "error: mrcert --completion takes a shell: bash\n"


def test_hydras_own_completion_is_not_offered(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("train", "--shell-completion", "install=bash")
    assert 'error: mrcert completes all its commands:  eval "$(mrcert --completion bash)"' in capsys.readouterr().err


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """An interactive bash with mrcert on its path: from typed keys to the line that they become."""
    program = tmp_path / "mrcert"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mrcert_pl.cli.main "$@"\n')
    program.chmod(0o755)
    (tmp_path / "weights.ckpt").touch()
    (tmp_path / "inputrc").write_text("set enable-bracketed-paste off\nset horizontal-scroll-mode off\n")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PS1": "$ ",
        "TERM": "dumb",
        "INPUTRC": str(tmp_path / "inputrc"),
    }
    ours, theirs = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)

    def until(mark: str) -> str:
        read, deadline = "", time.monotonic() + 60
        while mark not in read:
            assert select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0], read
            read += os.read(ours, 4096).decode()
        return read

    def completed(keys: str) -> str:
        # Control-A goes to the start of the completed line, where it is made an argument of echo.
        os.write(ours, f"{keys}\t\x01echo '<'\x05'>'\n".encode())
        return until(">\r\n").rpartition("<")[2].rpartition(">")[0].strip()

    os.write(ours, b'eval "$(mrcert --completion bash)"; echo re""ady\n')
    until("ready\r\n")
    yield completed
    bash.kill()  # an interactive bash ignores SIGTERM
    bash.wait(timeout=30)
    os.close(ours)


@needs_bash
def test_bash_completes_commands_settings_values_and_files(shell: Callable[[str], str]) -> None:
    assert shell("mrcert ev") == "mrcert eval"
    assert shell("mrcert audit n") == "mrcert audit numerics"
    assert shell("mrcert eval defender=mrcert_sh") == "mrcert eval defender=mrcert_sharp"
    assert shell("mrcert eval -m defender=mrcert,vot_") == "mrcert eval -m defender=mrcert,vot_sharp"
    assert shell("mrcert train srf_") == "mrcert train srf_checkpoint="
    assert shell("mrcert eval checkpoint=wei") == "mrcert eval checkpoint=weights.ckpt"
    assert shell("mrcert report wei") == "mrcert report weights.ckpt"
