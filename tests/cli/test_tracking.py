"""The bar of a loop moves within an item."""

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from mrcert_pl.cli.tracking import Tracker
from mrcert_pl.tasks.progress import untracked, within


def test_items_pass_through_and_the_bar_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[float] = []
    monkeypatch.setattr("rich.progress.Progress.update", lambda self, task, *, completed: shown.append(completed))
    tracker = Tracker(Console(file=StringIO()))
    passed = []
    for item in tracker("ab", "Reading", 2):
        passed.append(item)
        within(tracker)(0.5)
        within(tracker)(3.0)
    assert passed == ["a", "b"]
    assert shown == [0.5, 2, 1, 1.5, 2, 2]


def test_in_a_file_lines_say_what_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 20))
    # Not the module itself, which other threads ask too.
    monkeypatch.setattr("mrcert_pl.cli.tracking.time", SimpleNamespace(monotonic=lambda: next(clock)))
    tracker = Tracker(Console(file=(file := StringIO()), width=80))
    for _ in tracker("abcd", "Reading [x]", 4):
        within(tracker)(0.5)
    lines = file.getvalue().split("\n")
    assert [line for line in lines if line] == [f"Reading [x]: {done} of 4" for done in ("1.0", "2.0", "3.0", "4.0")]


def test_without_a_loop_nothing_is_shown() -> None:
    Tracker().within(0.5)
    within(untracked)(0.5)
