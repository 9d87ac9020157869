"""Progress of loops, without a view of it."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")
Track = Callable[[Iterable[Item], str, int], Iterable[Item]]
"""Progress of a loop: called with the items, a description and their number, it returns the items.

A function with an attribute ``within`` is also told how many further items are finished, as a fraction of them.
"""


def untracked(items: Iterable[Item], description: str, total: int) -> Iterable[Item]:
    """Iterate without a progress bar."""
    return items


def within(track: Track[Any]) -> Callable[[float], None]:
    """Return what the work on an item of a loop calls with the number of items that it has finished so far."""
    found: Callable[[float], None] = getattr(track, "within", lambda finished: None)
    return found
