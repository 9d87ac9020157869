"""Covering mask sets: for every placement of the patch, one mask hides all windows that it touches."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import product

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.patch import PatchSpec

Borders = tuple[Sequence[int], Sequence[int]]
"""Borders of the windows in pixels, from top to bottom and from left to right, the edges of the image included."""


def covering_masks(
    grid: tuple[int, int],
    window_px: tuple[int, int],
    patch: PatchSpec,
    stride: int | tuple[int, int] = 1,
) -> tuple[int, ...]:
    """Return the covering mask set of a patch on a grid of windows (docs/theory.md, Definition 3, Theorems 1 and 13).

    Along an axis with ``n`` windows of ``w`` px, a patch of ``p`` px touches at most ``c = ceil((p + w - 1) / w)``
    neighbouring windows (never more than ``n``). Masks are ``c + stride - 1`` windows long and start at every
    ``stride``-th window, the last one flush with the border. A patch of several shapes has the masks of each,
    without those that lie inside another.

    Args:
        grid: ``(rows, columns)`` of windows.
        window_px: ``(height, width)`` of one window in pixels.
        patch: patch to cover.
        stride: stride of the masks in windows, for both axes or ``(vertical, horizontal)``.

    Returns:
        Masks from the top left to the bottom right, shape by shape, each a bitset: bit ``row * columns + column`` is
        set if the mask hides that window. None lies inside another.

    Raises:
        ConfigurationError: for a grid, window or stride that isn't two whole numbers of at least one, or a patch larger
            than the image.
    """
    strides = stride if isinstance(stride, Sequence) else (stride, stride)
    for name, pair in (("grid", grid), ("window", window_px), ("stride", strides)):
        if len(pair) != 2 or any(type(side) is not int or side < 1 for side in pair):
            raise ConfigurationError(f"the {name} must be two whole numbers of at least 1, not {tuple(pair)}")
    masks: dict[int, None] = {}  # an ordered set
    for patch_px in patch.shapes_px((grid[0] * window_px[0], grid[1] * window_px[1])):
        spans = [mask_spans(n, w, p, s) for n, w, p, s in zip(grid, window_px, patch_px, strides, strict=True)]
        masks |= dict.fromkeys(rectangle(rows, columns, grid[1]) for rows, columns in product(*spans))
    return outermost(masks)


def outermost(masks: Collection[int]) -> tuple[int, ...]:
    """Drop the masks that lie inside another one; the order is kept."""
    return tuple(mask for mask in masks if not any(mask != other and mask & ~other == 0 for other in masks))


def check_covering(masks: Iterable[int], borders: Borders, patch: PatchSpec) -> None:
    """Check that every placement of the patch in each of its shapes, edges included, lies inside one of the masks.

    The check enumerates every pixel offset on each axis, independently of :func:`covering_masks`, and accepts masks of
    any origin on windows of any size.

    Args:
        masks: bitsets over the windows, row by row.
        borders: borders of the windows in pixels, from :func:`window_borders` for equal windows.
        patch: patch to cover.

    Raises:
        ConfigurationError: for a placement that no mask covers, or for a patch larger than the image.
    """
    masks = tuple(masks)
    for patch_px in patch.shapes_px((borders[0][-1], borders[1][-1])):
        axes = [touched_runs(along, p) for along, p in zip(borders, patch_px, strict=True)]
        rows_touched, columns_touched = ({run: runs.index(run) for run in runs} for runs in axes)
        for (rows, top), (columns, left) in product(rows_touched.items(), columns_touched.items()):
            needed = rectangle(rows, columns, len(borders[1]) - 1)
            if not any(needed & ~mask == 0 for mask in masks):
                raise ConfigurationError(
                    f"no mask covers the {patch_px[0]}x{patch_px[1]} px patch whose top left pixel is ({top}, {left})"
                )


def window_borders(grid: tuple[int, int], window_px: tuple[int, int]) -> Borders:
    """Return the borders of equal windows in pixels along both axes, the edges of the image included."""
    rows, columns = (range(0, n * w + 1, w) for n, w in zip(grid, window_px, strict=True))
    return rows, columns


def mask_spans(windows: int, window_px: int, patch_px: int, stride: int) -> list[range]:
    """Runs of windows that the masks hide along one axis."""
    touched = min(-(-(patch_px + window_px - 1) // window_px), windows)
    length = min(touched + stride - 1, windows)
    starts = sorted({*range(0, windows - length, stride), windows - length})
    return [range(start, start + length) for start in starts]


def windows_under(borders: Sequence[int], pixels: range) -> range:
    """Run of windows that contain a run of pixels, along one axis."""
    return range(bisect_right(borders, pixels.start) - 1, bisect_left(borders, pixels.stop))


def touched_runs(borders: Sequence[int], patch_px: int) -> list[range]:
    """Run of windows that a patch touches along one axis, for every pixel offset."""
    return [windows_under(borders, range(o, o + patch_px)) for o in range(borders[-1] - patch_px + 1)]


def rectangle(rows: Iterable[int], columns: Iterable[int], width: int) -> int:
    """Bitset of the windows in these rows and columns of a grid that is ``width`` windows wide."""
    row = sum(1 << column for column in columns)
    return sum(row << (r * width) for r in rows)
