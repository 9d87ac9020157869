"""Location maps of certificates, and the rectangles that a mutant hides."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.covering import Borders, rectangle, touched_runs
from mrcert_pl.geometry.patch import PatchSpec


def location_maps(
    safe_masks: Bool[Tensor, "..."], masks: Sequence[int], borders: Borders, patch: PatchSpec
) -> tuple[Bool[Tensor, "image top left"], ...]:
    """Return the safe placements of the patch: a safe mask hides all windows that they touch (Theorem 12).

    Args:
        safe_masks: safe masks of :class:`mrcert_pl.defenders.Verdicts`, ``[image, mask]``.
        masks: masks of the lattice.
        borders: borders of the model's windows in pixels.
        patch: patch that the masks cover.

    Returns:
        For each shape of the patch (``patch.shapes_px``) a map over the positions of the patch's top left pixel.

    Raises:
        ConfigurationError: if there is not one column for each mask, or the patch is larger than the image.
    """
    if safe_masks.ndim != 2 or safe_masks.shape[1] != len(masks):
        raise ConfigurationError(
            f"safe_masks must be [image, mask] with {len(masks)} masks, not {list(safe_masks.shape)}; "
            "take the masks of the lattice that the defender decided on"
        )
    maps = []
    for patch_px in patch.shapes_px((borders[0][-1], borders[1][-1])):
        tops, lefts = (touched_runs(along, p) for along, p in zip(borders, patch_px, strict=True))
        # Few placements touch different windows: decide those, then look the others up.
        rows, columns = list(dict.fromkeys(tops)), list(dict.fromkeys(lefts))
        touched = [rectangle(r, c, len(borders[1]) - 1) for r in rows for c in columns]
        hides = torch.tensor([[windows & ~mask == 0 for windows in touched] for mask in masks])
        safe = safe_masks.float() @ hides.to(safe_masks.device).float() > 0
        top, left = [rows.index(run) for run in tops], [columns.index(run) for run in lefts]
        maps.append(safe.unflatten(1, (len(rows), len(columns)))[:, top][:, :, left])
    return tuple(maps)


def certified_fraction(maps: Sequence[Bool[Tensor, "image _ _"]]) -> Float[Tensor, " image"]:
    """Fraction of safe placements of each image, over all shapes."""
    return torch.cat([safe.flatten(1) for safe in maps], 1).double().mean(1)


def hidden_boxes(hidden: Bool[Tensor, " window"], borders: Borders) -> list[tuple[int, int, int, int]]:
    """Return disjoint rectangles ``(top, left, bottom, right)`` in pixels, exclusive ends, of the hidden windows.

    Neighbouring hidden windows are merged where that gives a rectangle.

    Args:
        hidden: hidden windows of one mutant.
        borders: borders of the model's windows in pixels.
    """
    rows, columns = borders
    grid: list[list[bool]] = hidden.view(len(rows) - 1, len(columns) - 1).tolist()
    boxes, begun = [], dict[tuple[int, int], int]()
    for row, line in enumerate([*grid, []]):
        runs = set(_runs(line))
        for run in begun.keys() - runs:
            boxes.append((rows[begun.pop(run)], columns[run[0]], rows[row], columns[run[1]]))
        begun |= dict.fromkeys(runs - begun.keys(), row)
    return sorted(boxes)


def _runs(line: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Start and exclusive end of each run of true values."""
    for value, run in groupby(range(len(line)), line.__getitem__):
        positions = list(run)
        if value:
            yield positions[0], positions[-1] + 1
