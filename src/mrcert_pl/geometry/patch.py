"""The patch that an attacker may place: its size in pixels and how many there may be."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from mrcert_pl.errors import ConfigurationError

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_RECTANGLE = re.compile(r"(\d+)\s*[xX]\s*(\d+)")


@dataclass(frozen=True)
class PatchSpec:
    """An adversarial patch: an axis-aligned rectangle of pixels anywhere inside the image, with any content.

    Args:
        size: an int (side of a square in px), ``(height, width)`` in px, or one of the strings ``"32"``,
            ``"16x48"`` (height x width in px) and ``"2%"`` (a square with at least this share of the image's area).
        count: how many such patches the attacker may place in total, earlier and later ones together.

    Raises:
        ConfigurationError: for a size that is not positive or can't be read, or a count below one.
    """

    size: int | str | tuple[int, int]
    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _parse(self.size))
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ConfigurationError(f"the number of patches must be a whole number of at least 1, not {self.count!r}")

    def size_px(self, image_px: tuple[int, int]) -> tuple[int, int]:
        """Height and width in px on an image of ``image_px`` = (height, width).

        A percentage is rounded up to the next whole side, so that the patch is never smaller than asked for:
        1, 2 and 3 % of 224 x 224 are 23, 32 and 39 px.

        Raises:
            ConfigurationError: if the patch is larger than the image.
        """
        if isinstance(self.size, str):
            area = math.ceil(Fraction(self.size.rstrip("%")) / 100 * image_px[0] * image_px[1])
            side = math.isqrt(area - 1) + 1
            size = (side, side)
        else:
            size = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        if size[0] > image_px[0] or size[1] > image_px[1]:
            raise ConfigurationError(
                f"a patch of {size[0]}x{size[1]} px is larger than the image of {image_px[0]}x{image_px[1]} px; "
                "give a patch that fits inside the image"
            )
        return size


def _parse(size: object) -> int | str | tuple[int, int]:
    if isinstance(size, str):
        text = size.strip()
        if _PERCENT.fullmatch(text):
            share = Decimal(text.rstrip("% ")).normalize()
            if not 0 < share <= 100:
                raise ConfigurationError(f"a patch must cover more than 0 % and at most 100 % of the image, not {size}")
            return f"{share:f}%"
        if match := _RECTANGLE.fullmatch(text):
            size = (int(match[1]), int(match[2]))
        elif re.fullmatch(r"[+-]?\d+", text):
            size = int(text)
    if isinstance(size, int) and not isinstance(size, bool):
        sides: tuple[int, ...] = (size,)
    elif isinstance(size, (tuple, list)) and len(size) == 2 and all(type(side) is int for side in size):
        sides = tuple(size)
    else:
        raise ConfigurationError(
            f"can't read the patch size {size!r}; give pixels (32), height x width ('16x48') or a percentage ('2%')"
        )
    if min(sides) < 1:
        raise ConfigurationError(f"a patch must be at least 1 px in each direction, not {size!r}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])
