"""Pictures of verdicts: what a certificate rests on, and where on the image it holds; and of attacks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole

_SAFE, _UNSAFE = "#2a9d5c", "#c8442f"
_OUTLINE = "#2563c9"
_HIDDEN = 0.55


def kind_of(row: Mapping[str, Any]) -> str:
    """What became of an image: ``round trip``, ``certified``, ``not certified``, ``recovered`` or ``wrong``.

    Recovered: the defender's label is right, though not certified, and the base model's is wrong.
    """
    if row["prediction"] != row["label"]:
        return "wrong"
    if row["round_trip"]:
        return "round trip"
    if row["certified"]:
        return "certified"
    return "recovered" if row["base_prediction"] != row["label"] else "not certified"


def examples(rows: Sequence[Mapping[str, Any]], wanted: int | Sequence[int]) -> list[Mapping[str, Any]]:
    """At most ``wanted`` rows that show what there is: of every kind in turn, the first ones of each; or those wanted.

    Raises:
        ResultsError: for the id of an image that isn't there.
    """
    if not isinstance(wanted, int):
        found = {row["id"]: row for row in rows}
        if missing := [key for key in wanted if key not in found]:
            raise ResultsError(f"there are no verdicts on the images {missing}; verdicts.parquet has the ids of all")
        return [found[key] for key in wanted]
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(kind_of(row), []).append(row)
    turns = [(place, order, row) for order, alike in enumerate(kinds.values()) for place, row in enumerate(alike)]
    return [row for *_, row in sorted(turns, key=lambda turn: turn[:2])[:wanted]]


def verdict_picture(
    path: Path,
    image: np.ndarray,
    title: str,
    hidden: np.ndarray | None = None,
    maps: Sequence[np.ndarray] = (),
) -> Path:
    """Draw an image, what its witness saw of it, and where a patch can't change its label; write a PNG.

    What the witness has hidden is outlined on the image.

    Args:
        path: the PNG.
        image: ``[height, width, 3]`` in [0, 1].
        title: the verdict in words.
        hidden: bool ``[height, width]``, pixels that the witness has hidden; ``None`` if there is no witness.
        maps: for each shape of the patch bool ``[top, left]``, true where it can be without any effect.
    """
    panels = [("image", image)]
    if hidden is not None:
        panels.append(("what the witness sees", what_is_seen(image, hidden)))
    figure = Figure(figsize=(3 * (len(panels) + len(maps)), 4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels) + len(maps)))
    figure.suptitle(fill(title, 42 * len(axes)), fontsize=10)
    for axis, (name, picture) in zip(axes, panels, strict=False):
        axis.imshow(picture)
        axis.set_title(name, fontsize=9)
    if hidden is not None:
        _outline(axes[0], hidden)
    for axis, safe in zip(axes[len(panels) :], maps, strict=True):
        _draw_map(axis, image, safe)
    if maps:
        legend = [Patch(color=_SAFE, label="a patch has no effect"), Patch(color=_UNSAFE, label="not certified")]
        figure.legend(handles=legend, loc="outside lower right", ncol=2, fontsize=8, frameon=False)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    return write_whole(path, lambda partial: figure.savefig(partial, format="png", dpi=110))


def what_is_seen(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """An image ``[height, width, 3]`` with its pixels ``hidden`` ``[height, width]`` in grey."""
    return np.where(hidden[..., None], _HIDDEN, image)


class Panel(NamedTuple):
    """One picture of a contact sheet.

    Attributes:
        title: above it.
        image: ``[height, width, 3]`` in [0, 1]; ``None``: the title stands alone.
        outlined: bool ``[height, width]``, pixels to draw a line around.
    """

    title: str
    image: np.ndarray | None
    outlined: np.ndarray | None = None


def contact_sheet(path: Path, columns: Sequence[Sequence[Panel]], names: Sequence[str]) -> Path:
    """Draw images side by side, each a column of what became of it; write a PNG.

    Args:
        path: the PNG.
        columns: for each image the panels of its column.
        names: of the rows.
    """
    figure = Figure(figsize=(0.4 + 1.8 * len(columns), 2.1 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), len(columns), squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(fill(name, 24), fontsize=8)
    for column, panels in zip(axes.T, columns, strict=True):
        for axis, (title, image, outlined) in zip(column, panels, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if image is None:
                axis.text(0.5, 0.5, fill(title, 24), fontsize=8, ha="center", va="center", transform=axis.transAxes)
                continue
            axis.set_title(fill(title, 24), fontsize=8)
            axis.imshow(image)
            if outlined is not None:
                _outline(axis, outlined)
    return write_whole(path, lambda partial: figure.savefig(partial, format="png", dpi=110))


def _outline(axis: Any, hidden: np.ndarray) -> None:
    """The borders between pixels ``[height, width]`` that are hidden and all others."""
    padded = np.pad(hidden, 1)
    across, down = np.argwhere(padded[1:] != padded[:-1]) - 0.5, np.argwhere(padded[:, 1:] != padded[:, :-1]) - 0.5
    lines = [[(x - 1, y), (x, y)] for y, x in across] + [[(x, y - 1), (x, y)] for y, x in down]
    for colour, width in (("white", 3.5), (_OUTLINE, 1.8)):
        axis.add_collection(LineCollection(lines, colors=colour, linewidths=width, capstyle="projecting"))


def _draw_map(axis: Any, image: np.ndarray, safe: np.ndarray) -> None:
    """The centres of the placements over the image, each in the colour of its verdict."""
    height, width = image.shape[:2]
    patch = (height - safe.shape[0] + 1, width - safe.shape[1] + 1)
    axis.imshow(image.mean(2), cmap="gray", vmin=0, vmax=1)
    left, top = (patch[1] - 1) / 2 - 0.5, (patch[0] - 1) / 2 - 0.5
    extent = (left, left + safe.shape[1], top + safe.shape[0], top)
    axis.imshow(safe, cmap=ListedColormap([_UNSAFE, _SAFE]), vmin=0, vmax=1, alpha=0.5, extent=extent)
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)
    axis.set_title(f"{patch[0]}x{patch[1]} px patch centred here: {safe.mean():.0%} safe", fontsize=9)
