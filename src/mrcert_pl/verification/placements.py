"""Placements of a patch on windows and masks, by enumeration of pixels in NumPy (docs/theory.md, Definition 3)."""

from collections.abc import Sequence

import numpy as np


class Placements:
    """Every placement of one shape of a patch, and the masks that hide all windows that it touches.

    Args:
        masks: Bitsets over the windows, row by row.
        borders: Borders of the windows in px along both axes, the edges of the image included.
        shape_px: Height and width of the patch.

    Attributes:
        size: Number of vertical and of horizontal offsets.
    """

    def __init__(self, masks: Sequence[int], borders: Sequence[Sequence[int]], shape_px: tuple[int, int]) -> None:
        rows, columns = (_touched(axis, side) for axis, side in zip(borders, shape_px, strict=True))
        self.size = (len(rows), len(columns))
        # Placements that touch the same windows are decided together.
        rows, self._row = np.unique(rows, axis=0, return_inverse=True)
        columns, self._column = np.unique(columns, axis=0, return_inverse=True)
        bits = np.array([[mask >> bit & 1 for bit in range(rows.shape[1] * columns.shape[1])] for mask in masks], bool)
        shown = ~bits.reshape(len(masks), rows.shape[1], columns.shape[1])
        # [mask, row set, column set]: no touched window is shown.
        self._hidden = np.einsum("mij,ri,cj->mrc", shown.astype(int), rows.astype(int), columns.astype(int)) == 0

    def uncovered(self) -> tuple[int, int] | None:
        """Return the first placement (top, left) that no mask hides, ``None`` if all are covered."""
        missing = ~self._at(self._hidden.any(0))
        if not missing.any():
            return None
        top, left = np.argwhere(missing)[0].tolist()
        return top, left

    def safe(self, safe_masks: np.ndarray) -> np.ndarray:
        """Return ``[image, row set, column set]``: whether a safe mask hides what the placement touches."""
        return np.einsum("nm,mrc->nrc", safe_masks.astype(int), self._hidden.astype(int)) > 0

    def count(self, safe: np.ndarray) -> np.ndarray:
        """Return the number of images of :meth:`safe` at each placement, ``[top, left]``."""
        return self._at(safe.sum(0))

    def placements(self, safe: np.ndarray) -> np.ndarray:
        """Return the number of safe placements of each image of :meth:`safe`."""
        weights = np.outer(np.bincount(self._row.ravel()), np.bincount(self._column.ravel()))
        return (safe * weights).sum((1, 2))

    def _at(self, sets: np.ndarray) -> np.ndarray:
        return sets[np.ix_(self._row.ravel(), self._column.ravel())]


def _touched(borders: Sequence[int], patch_px: int) -> np.ndarray:
    """``[offset, window]``: whether the patch has a pixel in the window, along one axis."""
    window_of = np.repeat(np.arange(len(borders) - 1), np.diff(borders))
    offsets = len(window_of) - patch_px + 1
    touched = np.zeros((offsets, len(borders) - 1), dtype=bool)
    for offset in range(offsets):
        touched[offset, window_of[offset : offset + patch_px]] = True
    return touched
