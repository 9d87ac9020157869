"""Progress bars of loops outside Lightning."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, TaskID

Item = TypeVar("Item")


# Seconds between lines where there is no terminal for a bar.
_INTERVAL = 30.0


class Tracker:
    """A bar with the time left, which vanishes at its end; in a file or a pipe a line twice a minute.

    Args:
        console: terminal of the bar; default: standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._description = ""
        self._said = 0.0
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._finished = 0
        self._total = 0

    def __call__(self, items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
        """Yield the items; one is finished when the next one is taken."""
        self._finished, self._total, self._description, self._said = 0, total, description, time.monotonic()
        with Progress(console=self._console, transient=True) as self._progress:
            self._task = self._progress.add_task(description, total=total)
            for item in items:
                yield item
                self._finished += 1
                self._show(self._finished)
        self._progress = None

    def within(self, finished: float) -> None:
        """Show a part of the items after the last finished one.

        Args:
            finished: number of these items, with fractions.
        """
        if self._progress is not None:
            self._show(min(self._finished + finished, self._total))

    def _show(self, completed: float) -> None:
        assert self._progress is not None
        self._progress.update(self._task, completed=completed)
        console = self._progress.console
        if not console.is_terminal and time.monotonic() - self._said >= _INTERVAL:
            self._said = time.monotonic()
            console.print(f"{self._description}: {completed:.1f} of {self._total}", highlight=False, markup=False)
