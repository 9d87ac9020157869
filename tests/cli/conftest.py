"""What the tests of the commands share."""

from collections.abc import Callable

import pytest
from small_checkpoint import CHECKPOINT, random_checkpoint
from tiny import TINY

Command = Callable[..., None]


@pytest.fixture
def untrained(command: Command) -> Command:
    """Commands in a folder with a checkpoint of random weights."""
    random_checkpoint(CHECKPOINT, TINY)
    return command


@pytest.fixture
def refused(command: Command, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The message of a command that must fail with one error and without a traceback."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            command(*arguments)
        assert stopped.value.code == 1
        errors = capsys.readouterr().err
        assert "Traceback" not in errors
        assert errors.count("error: ") == 1
        return errors

    return run
