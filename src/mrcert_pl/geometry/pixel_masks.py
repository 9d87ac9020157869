"""Masks of pixels, as in PatchCleanser, for models without windows."""

from dataclasses import dataclass
from itertools import product

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.covering import Borders, mask_spans, outermost, rectangle, windows_under
from mrcert_pl.geometry.patch import PatchSpec

# Pairs of more masks than this along both axes are more than a lattice holds.
_MOST_PER_AXIS = 32


@dataclass(frozen=True)
class PixelMasks:
    """Masks with borders at any pixel; the windows are the cells between all borders.

    Attributes:
        rows: borders of the cells from top to bottom in pixels, 0 and the height of the image included.
        columns: borders from left to right.
        spans: for each shape of the patch, the masks along the vertical and the horizontal axis in pixels.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    spans: tuple[tuple[tuple[range, ...], tuple[range, ...]], ...]

    @property
    def borders(self) -> Borders:
        """Borders of the cells along both axes."""
        return self.rows, self.columns

    @property
    def grid(self) -> tuple[int, int]:
        """``(rows, columns)`` of cells."""
        return len(self.rows) - 1, len(self.columns) - 1

    @property
    def masks(self) -> tuple[int, ...]:
        """Bitsets over the cells, row by row."""
        return self.joined(1, 1)

    def joined(self, vertical: int, horizontal: int) -> tuple[int, ...]:
        """Return masks that hide so many neighbouring masks along each axis: bitsets over the cells, row by row.

        They cover what the masks cover, because each mask lies inside one of them. The last ones along an axis may
        join fewer.
        """
        masks = dict.fromkeys(
            rectangle(windows_under(self.rows, rows), windows_under(self.columns, columns), self.grid[1])
            for along in self.spans
            for rows, columns in product(_joined(along[0], vertical), _joined(along[1], horizontal))
        )
        return outermost(masks)


def pixel_masks(image_px: tuple[int, int], patch: PatchSpec, per_axis: int) -> PixelMasks:
    """Return the mask set of PatchCleanser (Xiang et al. 2022) for a patch.

    Along an axis of ``n`` px a patch of ``p`` px has ``n - p + 1`` offsets. With the stride
    ``s = ceil((n - p + 1) / k)`` masks of ``m = min(p + s - 1, n)`` px start at ``0, s, 2s, ...``, the last one flush
    with the border: all patches whose first pixels are in one run of ``s`` pixels lie inside one mask.

    Args:
        image_px: ``(height, width)`` of the image in pixels.
        patch: patch to cover; several shapes have the masks of each.
        per_axis: largest number of masks along an axis, ``k``.

    Raises:
        ConfigurationError: for fewer than one mask or more than 32, or a patch larger than the image.
    """
    if isinstance(per_axis, bool) or not isinstance(per_axis, int) or per_axis < 1:
        raise ConfigurationError(f"masks_per_axis must be a whole number of at least 1, not {per_axis!r}")
    if per_axis > _MOST_PER_AXIS:
        raise ConfigurationError(
            f"masks_per_axis must be at most {_MOST_PER_AXIS} (PatchCleanser has 3 to 6), not {per_axis}"
        )
    (height, width), sizes = image_px, patch.shapes_px(image_px)
    spans = tuple((_spans(height, rows, per_axis), _spans(width, columns, per_axis)) for rows, columns in sizes)
    rows, columns = (
        tuple(sorted({0, pixels, *(border for along in spans for span in along[axis] for border in _ends(span))}))
        for axis, pixels in enumerate(image_px)
    )
    return PixelMasks(rows, columns, spans)


def _spans(pixels: int, patch_px: int, per_axis: int) -> tuple[range, ...]:
    """Masks along an axis: those for windows of one pixel."""
    return tuple(mask_spans(pixels, 1, patch_px, -(-(pixels - patch_px + 1) // per_axis)))


def _joined(spans: tuple[range, ...], number: int) -> list[range]:
    groups = [spans[start : start + number] for start in range(0, len(spans), number)]
    return [range(group[0].start, group[-1].stop) for group in groups]


def _ends(span: range) -> tuple[int, int]:
    return span.start, span.stop
