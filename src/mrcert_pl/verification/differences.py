"""Values that a run wrote, beside those that follow from its tables."""

from collections.abc import Iterator
from typing import Any

from mrcert_pl.results.schema import Difference


class Differences:
    """The values that the tables contradict, in the order in which they were found."""

    def __init__(self) -> None:
        self._found: list[Difference] = []

    def __iter__(self) -> Iterator[Difference]:
        return iter(self._found)

    def expect(self, image_id: int | None, field: str, written: Any, computed: Any, tolerance: float = 0.0) -> bool:
        """Record a difference of a written value from the computed one; return whether they are the same.

        Args:
            image_id: Image of the value; ``None``: it is about all images.
            field: Name of the value.
            written: Written value.
            computed: Computed value.
            tolerance: Largest distance of equal numbers.
        """
        same = type(written) is type(computed) and written == computed
        if tolerance and isinstance(written, (int, float)) and isinstance(computed, (int, float)):
            same = abs(written - computed) <= tolerance
        if not same:
            self.add(image_id, field, written, computed)
        return same

    def add(self, image_id: int | None, field: str, written: Any, computed: Any) -> None:
        """Record a difference."""
        self._found.append(Difference(image_id, field, written, computed))


def plain(value: Any) -> Any:
    """Tuples as lists, so that values of different files can be compared."""
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value
