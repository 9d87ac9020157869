"""Numbers beside the points of a figure, where they hide least."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

# In typographic points: half a marker, the height of a digit's box and its width, and where a number may begin.
_MARKER, _HEIGHT, _DIGIT = 4.0, 7.0, 4.6
_SIZE = 7.5
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Numbered:
    """A point of a figure, its number, and how that is written."""

    x: float
    y: float
    number: str
    style: Mapping[str, Any]


def place_numbers(axis: Axes, points: Sequence[Numbered]) -> None:
    """Write its number beside each point, where it overlaps markers and the numbers before it least.

    The axis must have its place in the figure, and all else that it will have.
    """
    scale = 72 / axis.figure.dpi
    places = [axis.transData.transform((point.x, point.y)) * scale for point in points]
    taken = [(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in places]
    for point, (left, bottom) in zip(points, places, strict=True):
        width = _DIGIT * len(point.number)
        near, beside = _MARKER + 0.5, -_HEIGHT / 2
        offsets = [
            (near, near - 2),
            (-near - width, near - 2),
            (near, -near - _HEIGHT + 2),
            (-near - width, -near - _HEIGHT + 2),
            (near, beside),
            (-near - width, beside),
            (-width / 2, near),
            (-width / 2, -near - _HEIGHT),
            (2.5 * near, near),
            (-2.5 * near - width, near),
        ]
        boxes = [(left + dx, bottom + dy, left + dx + width, bottom + dy + _HEIGHT) for dx, dy in offsets]
        best = min(range(len(boxes)), key=lambda place: (sum(_overlap(boxes[place], box) for box in taken), place))
        taken.append(boxes[best])
        at: Any = {"textcoords": "offset points", "fontsize": _SIZE}
        text = axis.annotate(point.number, (point.x, point.y), offsets[best], **at, **point.style)
        # Numbers must not move what they were placed by.
        text.set_in_layout(False)


def _overlap(one: _Box, other: _Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
