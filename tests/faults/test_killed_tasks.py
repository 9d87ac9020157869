"""Killed and resumed tasks end as undisturbed ones; ``killed_tasks.py`` has the long version."""

import random
import sys
from pathlib import Path

import pytest
from killed_tasks import TASKS, kill

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


@pytest.mark.parametrize("name", TASKS)
def test_a_killed_task_ends_as_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    assert kill(name, tmp_path, 2, random.Random(1))["kills"] == 2
