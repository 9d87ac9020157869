"""Mask strides and windows that are feasible for a patch, for advice in error messages."""

from collections.abc import Iterable
from math import comb, prod

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.covering import covering_masks, mask_spans
from mrcert_pl.geometry.patch import PatchSpec
from mrcert_pl.geometry.unions import MAX_UNIONS, UnionLattice


def works(grid: tuple[int, int], window_px: tuple[int, int], patch: PatchSpec, order: int, stride: int) -> bool:
    """Whether the masks have a lattice of this order: no union hides everything, and there are not too many.

    The limit is conservative: equal unions are counted repeatedly.
    """
    spans = [
        [mask_spans(n, w, p, stride) for n, w, p in zip(grid, window_px, size, strict=True)]
        for size in patch.shapes_px((grid[0] * window_px[0], grid[1] * window_px[1]))
    ]
    # Cheap conditions first: building a lattice takes seconds.
    masks = covering_masks(grid, window_px, patch, stride)
    if order >= len(masks):
        # All masks together hide everything, and an order may be of any size.
        return False
    if sum(comb(len(masks), k) for k in range(order + 1)) > MAX_UNIONS:
        return False
    if any(prod(_least_cover(axis, n) for axis, n in zip(axes, grid, strict=True)) <= order for axes in spans):
        return False
    try:
        UnionLattice(masks, grid[0] * grid[1], order)
    except ConfigurationError:
        return False
    return True


def nearest_that_works(
    tokens: tuple[int, int],
    token_px: tuple[int, int],
    window: tuple[int, int],
    patch: PatchSpec,
    order: int,
    stride: int,
) -> tuple[tuple[int, int], int] | None:
    """Return the nearest window and stride for which all unions of ``order`` masks leave a window visible.

    Args:
        tokens: ``(rows, columns)`` of the token grid.
        token_px: ``(height, width)`` of a token.
        window: ``(height, width)`` of an infeasible window in tokens; kept if another stride is feasible.
        patch: patch to cover.
        order: highest order of unions.
        stride: infeasible stride of the masks in windows.
    """
    heights, widths = ([w for w in range(1, n + 1) if n % w == 0] for n in tokens)
    windows: Iterable[tuple[int, int]] = sorted(
        ((height, width) for height in heights for width in widths),
        key=lambda w: sum(max(a, b) / min(a, b) for a, b in zip(w, window, strict=True)),
    )
    for height, width in windows:
        grid = (tokens[0] // height, tokens[1] // width)
        window_px = (height * token_px[0], width * token_px[1])
        for other in sorted(range(1, max(grid) + 1), key=lambda s: abs(s - stride)):
            if works(grid, window_px, patch, order, other):
                return (height, width), other
    return None


def _least_cover(spans: list[range], windows: int) -> int:
    """Smallest number of masks that hide a whole axis; the greedy choice is optimal for intervals."""
    count = reached = 0
    while reached < windows:
        reached = max(span.stop for span in spans if span.start <= reached)
        count += 1
    return count
