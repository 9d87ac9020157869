"""What the tests of the guard share."""

import subprocess
import sys
from collections.abc import Callable

import pytest


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Runs a line of Python in a process of its own, and gives what it prints."""

    def run(line: str) -> str:
        return subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True).stdout

    return run
