"""Covering mask sets: for every placement of the patch one mask hides all windows that it touches."""

from collections.abc import Iterable
from itertools import product

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.patch import PatchSpec


def covering_masks(
    grid: tuple[int, int],
    window_px: tuple[int, int],
    patch: PatchSpec,
    stride: int | tuple[int, int] = 1,
) -> tuple[int, ...]:
    """The covering mask set of a patch on a grid of windows (docs/theory.md, Definition 3 and Theorem 1).

    Along an axis with ``n`` windows of ``w`` px, a patch of ``p`` px touches at most ``c = ceil((p + w - 1) / w)``
    neighbouring windows (never more than ``n``). Masks are ``c + stride - 1`` windows long and start at every
    ``stride``-th window, the last one flush with the border.

    Args:
        grid: ``(rows, columns)`` of windows.
        window_px: ``(height, width)`` of one window in px.
        patch: the patch to cover.
        stride: distance in windows between neighbouring masks, for both axes or ``(vertical, horizontal)``.

    Returns:
        The masks from the top left to the bottom right, each a bitset: bit ``row * columns + column`` is set
        if the mask hides that window.

    Raises:
        ConfigurationError: for sizes or strides below one, or a patch larger than the image.
    """
    strides = (stride, stride) if isinstance(stride, int) else stride
    for name, pair in (("grid", grid), ("window", window_px), ("stride", strides)):
        if len(pair) != 2 or min(pair) < 1:
            raise ConfigurationError(f"the {name} must be two whole numbers of at least 1, not {tuple(pair)}")
    patch_px = patch.size_px((grid[0] * window_px[0], grid[1] * window_px[1]))
    spans = [_spans(n, w, p, s) for n, w, p, s in zip(grid, window_px, patch_px, strides, strict=True)]
    return tuple(_rectangle(rows, columns, grid[1]) for rows, columns in product(*spans))


def check_covering(masks: Iterable[int], grid: tuple[int, int], window_px: tuple[int, int], patch: PatchSpec) -> None:
    """Check that every placement of the patch, borders included, lies inside one of the masks.

    It goes over every pixel offset on each axis, so it doesn't share the reasoning of :func:`covering_masks`
    and serves for masks of any origin.

    Raises:
        ConfigurationError: naming the first placement that no mask covers.
    """
    masks = tuple(masks)
    patch_px = patch.size_px((grid[0] * window_px[0], grid[1] * window_px[1]))
    rows_touched, columns_touched = (_placements(n, w, p) for n, w, p in zip(grid, window_px, patch_px, strict=True))
    for (rows, top), (columns, left) in product(rows_touched.items(), columns_touched.items()):
        needed = _rectangle(rows, columns, grid[1])
        if not any(needed & ~mask == 0 for mask in masks):
            raise ConfigurationError(
                f"no mask covers the {patch_px[0]}x{patch_px[1]} px patch whose top left pixel is ({top}, {left})"
            )


def _spans(windows: int, window_px: int, patch_px: int, stride: int) -> list[range]:
    """The runs of windows that the masks hide along one axis."""
    touched = min(-(-(patch_px + window_px - 1) // window_px), windows)
    length = min(touched + stride - 1, windows)
    starts = sorted({*range(0, windows - length, stride), windows - length})
    return [range(start, start + length) for start in starts]


def _placements(windows: int, window_px: int, patch_px: int) -> dict[range, int]:
    """The runs of windows that a patch can touch along one axis, each with the first offset in px where it does."""
    first: dict[range, int] = {}
    for offset in range(windows * window_px - patch_px + 1):
        first.setdefault(range(offset // window_px, (offset + patch_px - 1) // window_px + 1), offset)
    return first


def _rectangle(rows: Iterable[int], columns: Iterable[int], width: int) -> int:
    row = sum(1 << column for column in columns)
    return sum(row << (r * width) for r in rows)
