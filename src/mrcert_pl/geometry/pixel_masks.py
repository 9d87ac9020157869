"""Masks of pixels, as in PatchCleanser, for models without windows."""

from dataclasses import dataclass
from itertools import product

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.covering import Borders, mask_spans, outermost, rectangle, windows_under
from mrcert_pl.geometry.patch import PatchSpec


@dataclass(frozen=True)
class PixelMasks:
    """Masks with borders at any pixel; the windows are the cells between all borders.

    Attributes:
        rows: borders of the cells from top to bottom in pixels, 0 and the height of the image included.
        columns: borders from left to right.
        masks: bitsets over the cells, row by row.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    masks: tuple[int, ...]

    @property
    def borders(self) -> Borders:
        """Borders of the cells along both axes."""
        return self.rows, self.columns

    @property
    def grid(self) -> tuple[int, int]:
        """``(rows, columns)`` of cells."""
        return len(self.rows) - 1, len(self.columns) - 1


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
        ConfigurationError: for fewer than one mask, or a patch larger than the image.
    """
    if isinstance(per_axis, bool) or not isinstance(per_axis, int) or per_axis < 1:
        raise ConfigurationError(f"masks_per_axis must be a whole number of at least 1, not {per_axis!r}")
    boxes = [
        (rows, columns)
        for size in patch.shapes_px(image_px)
        for rows, columns in product(*(_intervals(n, p, per_axis) for n, p in zip(image_px, size, strict=True)))
    ]
    borders = [
        tuple(sorted({0, pixels, *(border for box in boxes for border in (box[axis].start, box[axis].stop))}))
        for axis, pixels in enumerate(image_px)
    ]
    masks = dict.fromkeys(
        rectangle(windows_under(borders[0], rows), windows_under(borders[1], columns), len(borders[1]) - 1)
        for rows, columns in boxes
    )
    return PixelMasks(borders[0], borders[1], outermost(masks))


def _intervals(pixels: int, patch_px: int, per_axis: int) -> list[range]:
    """Masks along an axis: those for windows of one pixel."""
    return mask_spans(pixels, 1, patch_px, -(-(pixels - patch_px + 1) // per_axis))
