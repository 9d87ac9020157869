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
        assert capsys.readouterr().err == "error: mrcert --completion takes a shell: bash, zsh, fish\n"


def test_hydras_own_completion_is_not_offered(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("train", "--shell-completion", "install=bash")
    assert 'error: mrcert completes all its commands:  eval "$(mrcert --completion bash)"' in capsys.readouterr().err


LINES = {
    "mrcert ev": "mrcert eval",
    "mrcert audit n": "mrcert audit numerics",
    "mrcert eval defender=mrcert_sh": "mrcert eval defender=mrcert_sharp",
    "mrcert eval -m defender=mrcert,vot_": "mrcert eval -m defender=mrcert,vot_sharp",
    "mrcert train srf_": "mrcert train srf_checkpoint=",
    "mrcert eval checkpoint=wei": "mrcert eval checkpoint=weights.ckpt",
    "mrcert report wei": "mrcert report weights.ckpt",
}


def environment_in(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell with mrcert on its path and a file to complete."""
    program = tmp_path / "mrcert"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mrcert_pl.cli.main "$@"\n')
    program.chmod(0o755)
    (tmp_path / "weights.ckpt").touch()
    (tmp_path / "inputrc").write_text("set enable-bracketed-paste off\nset horizontal-scroll-mode off\n")
    return {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PS1": "$ ",
        "TERM": "dumb",
        "HOME": str(tmp_path),
        "INPUTRC": str(tmp_path / "inputrc"),
    }


@pytest.fixture(params=[("bash", "--norc", "--noprofile", "-i"), ("zsh", "-f", "-i")], ids=lambda words: words[0])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """An interactive shell: from typed keys to the line that they become."""
    name, *flags = request.param
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [name, *flags],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=environment_in(tmp_path),
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

    os.write(ours, f'eval "$(mrcert --completion {name})"; echo re""ady\n'.encode())
    until("ready\r\n")
    yield completed
    running.kill()  # an interactive shell ignores SIGTERM
    running.wait(timeout=30)
    os.close(ours)


def test_a_shell_completes_commands_settings_values_and_files(shell: Callable[[str], str]) -> None:
    assert {line: shell(line) for line in LINES} == LINES


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_commands_settings_values_and_files(tmp_path: Path) -> None:
    asked = "; echo next; ".join(f"complete -C '{line}'" for line in LINES)
    script = f"mrcert --completion fish | source; {asked}"
    environment = environment_in(tmp_path)
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    words = [answer.split() for answer in done.stdout.split("next\n")]
    assert words == [[line.rpartition(" ")[2]] for line in LINES.values()], done.stderr
