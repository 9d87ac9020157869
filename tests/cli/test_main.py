"""The console script: one name for all commands."""

import importlib
from collections.abc import Callable

import pytest

from mrcert_pl.cli import main

Command = Callable[..., None]


@pytest.mark.parametrize("name", main._COMMANDS)
def test_every_command_has_a_module(name: str) -> None:
    assert callable(importlib.import_module(f"mrcert_pl.cli.{name.replace(' ', '_')}").main)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_all_commands_are_listed(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command(*arguments)
    output = capsys.readouterr().out
    assert all(f"  {name} " in output for name in main._COMMANDS)
    assert max(map(len, output.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["audit"], ["audit", "--help"], ["audit", "-h"]])
def test_audits_are_listed(command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    command(*arguments)
    output = capsys.readouterr().out
    assert "  audit certificates " in output
    assert "  train " not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "error: mrcert has no command 'evaluate'; did you mean 'eval'?"),
        (["audit", "numeric"], "error: mrcert has no command 'audit numeric'; did you mean 'audit numerics'?"),
        (["zzz"], "error: mrcert has no command 'zzz'\n"),
        (["bench"], "error: mrcert bench is now python -m benchmarks.labelling"),
    ],
)
def test_an_unknown_command(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command(*arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(message)
