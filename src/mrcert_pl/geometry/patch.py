"""The patch of the threat model: its shapes in pixels and the number of patches."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeGuard

from mrcert_pl.errors import ConfigurationError

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_RECTANGLE = re.compile(r"(\d+)\s*[xX]\s*(\d+)")

Shape = int | str | tuple[int, int]


@dataclass(frozen=True, init=False)
class PatchSpec:
    """An adversarial patch: an axis-aligned rectangle of pixels anywhere inside the image, with any content.

    A certificate for a patch holds for every smaller one (docs/theory.md, Theorem 13): give an upper bound of an
    unknown size, or several shapes of which none contains another.

    Args:
        size: an int (side of a square in px), ``(height, width)`` in px, or one of the strings ``"32"``,
            ``"16x48"`` (height x width in px) and ``"2%"`` (a square of at least this percentage of the image's area).
            Several shapes, any of which each patch may have, are a list or a string with commas,
            ``"16x48,48x16"``; there a square is ``"32x32"``, because ``[16, 48]`` is one height and one width.
        count: number of patches in total, before and after certification together.

    Raises:
        ConfigurationError: for a size that is not positive or can't be read, or a count below one.
    """

    size: Shape | tuple[Shape, ...]
    count: int

    def __init__(self, size: object, count: object = 1) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigurationError(f"the number of patches must be a whole number of at least 1, not {count!r}")
        object.__setattr__(self, "size", _parse(size))
        object.__setattr__(self, "count", count)

    def shapes_px(self, image_px: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Height and width in px of each shape on an image of ``image_px`` = (height, width).

        A percentage is rounded up to the next whole side, so the patch is never smaller than given:
        1, 2 and 3 % of 224 x 224 are 23, 32 and 39 px.

        Raises:
            ConfigurationError: if a shape is larger than the image.
        """
        return tuple(dict.fromkeys(_shape_px(shape, image_px) for shape in self._shapes()))

    def _shapes(self) -> tuple[Shape, ...]:
        if isinstance(self.size, int | str):
            return (self.size,)
        height, *others = self.size
        if isinstance(height, int) and len(others) == 1 and isinstance(others[0], int):
            return ((height, others[0]),)
        return self.size


def _shape_px(shape: Shape, image_px: tuple[int, int]) -> tuple[int, int]:
    if isinstance(shape, str):
        area = math.ceil(Fraction(shape.rstrip("%")) / 100 * image_px[0] * image_px[1])
        side = math.isqrt(area - 1) + 1
        size = (side, side)
    else:
        size = shape if isinstance(shape, tuple) else (shape, shape)
    if size[0] > image_px[0] or size[1] > image_px[1]:
        raise ConfigurationError(
            f"a patch of {size[0]}x{size[1]} px is larger than the image of {image_px[0]}x{image_px[1]} px; "
            "give a patch that fits inside the image"
        )
    return size


def _parse(size: object) -> Shape | tuple[Shape, ...]:
    parts = size.split(",") if isinstance(size, str) and "," in size else size
    if not _is_list(parts) or all(type(side) is int for side in parts):
        return _parse_shape(size)
    shapes = tuple(dict.fromkeys(_parse_shape(part) for part in parts))
    if any(isinstance(shape, int) for shape in shapes):
        raise ConfigurationError(
            f"a patch of several shapes needs the height and the width of each, not {size!r}; "
            "write '16x16,48x48' for two squares and '16x48' for one rectangle"
        )
    return shapes if len(shapes) > 1 else shapes[0]


def _is_list(size: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(size, Sequence) and not isinstance(size, str | bytes)


def _parse_shape(size: object) -> Shape:
    if isinstance(size, str):
        text = size.strip()
        if _PERCENT.fullmatch(text):
            percentage = Decimal(text.rstrip("% ")).normalize()
            if not 0 < percentage <= 100:
                raise ConfigurationError(f"a patch must cover more than 0 % and at most 100 % of the image, not {size}")
            return f"{percentage:f}%"
        if match := _RECTANGLE.fullmatch(text):
            size = (int(match[1]), int(match[2]))
        elif re.fullmatch(r"[+-]?\d+", text):
            size = int(text)
    if isinstance(size, int) and not isinstance(size, bool):
        sides: tuple[int, ...] = (size,)
    elif _is_list(size) and len(size) == 2 and all(type(side) is int for side in size):
        sides = tuple(size)
    else:
        raise ConfigurationError(
            f"can't read the patch size {size!r}; give pixels (32), height x width ('16x48'), a percentage "
            "('2%') or several shapes ('16x48,48x16')"
        )
    if min(sides) < 1:
        raise ConfigurationError(f"a patch must be at least 1 px in each direction, not {size!r}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])
