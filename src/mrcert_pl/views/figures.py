"""Figures as image files: verdicts, contact sheets of attacks, bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mrcert_pl.files import write_whole
from mrcert_pl.results.examples import AttackExample, DefenceExample, Example
from mrcert_pl.results.kinds import kind_of
from mrcert_pl.results.labels import patch_text
from mrcert_pl.results.schema import Patch as PatchSetting
from mrcert_pl.views.drawing import BLUE, ORANGE
from mrcert_pl.views.words import whole_percent

_SAFE, _UNSAFE, _OUTLINE = BLUE, ORANGE, "#6a2fc4"
_HIDDEN = 0.55
WITNESSED, ALERTED = "visible to the witness", "mutant that raises the alert"
"""Titles of the mutant that a verdict rests on."""
# Of a figure with sides below 2^16 px, the most that a PNG of Matplotlib has.
_DPI, _MOST_PX = 110, 2**16 - 1


class Panel(NamedTuple):
    """One image of a contact sheet.

    Attributes:
        title: Text above it.
        image: ``[height, width, 3]`` in [0, 1]; ``None``: the title alone.
        outlined: Bool ``[height, width]``, pixels to outline.
    """

    title: str
    image: np.ndarray | None
    outlined: np.ndarray | None = None


def draw_verdicts(folder: Path, examples: Sequence[Example], classes: Sequence[str], patch: PatchSetting) -> list[Path]:
    """Draw each example as ``<id>.png``.

    Args:
        folder: Folder of the files.
        examples: The examples.
        classes: Names of the classes.
        patch: The patch, for the titles.
    """
    return [
        draw_verdict(
            folder / f"{example.row.id}.png",
            example.image,
            verdict_title(example, classes, patch),
            example.hidden,
            example.maps,
            ALERTED if example.row.alerted else WITNESSED,
        )
        for example in examples
    ]


def verdict_title(example: Example, classes: Sequence[str], patch: PatchSetting) -> str:
    """A verdict in words."""
    row = example.row
    title = f"{kind_of(row)}: {classes[row.prediction]}"
    if not row.correct:
        title += f", but it is {classes[row.label]}"
    if row.certified_patches is not None:
        title += f" (patches of {patch_text(patch)} that can't change it: {max(row.certified_patches, 0)})"
    return title


def draw_verdict(
    path: Path,
    image: np.ndarray,
    title: str,
    hidden: np.ndarray | None = None,
    maps: Sequence[np.ndarray] = (),
    mutant: str = WITNESSED,
) -> Path:
    """Draw an image, the mutant that its verdict rests on, and where a patch cannot change its label; write a PNG.

    What the mutant hides is outlined on the image.

    Args:
        path: The PNG.
        image: ``[height, width, 3]`` in [0, 1].
        title: The verdict in words.
        hidden: Bool ``[height, width]``, pixels that the mutant hides; ``None`` without one.
        maps: For each shape of the patch bool ``[top, left]``, true where it cannot change the label.
        mutant: Title of the mutant, a witness or one that raises an alert.
    """
    panels = [("image", image)]
    if hidden is not None:
        panels.append((mutant, visible(image, hidden)))
    figure = Figure(figsize=(3 * (len(panels) + len(maps)), 4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels) + len(maps)))
    figure.suptitle(fill(title, 42 * len(axes)), fontsize=10, parse_math=False)
    for axis, (name, shown) in zip(axes, panels, strict=False):
        axis.imshow(shown)
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
    return _write(path, figure)


def visible(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return an image ``[height, width, 3]`` with the pixels ``hidden`` ``[height, width]`` in grey."""
    return np.where(hidden[..., None], _HIDDEN, image)


def draw_attack(path: Path, examples: Sequence[AttackExample], classes: Sequence[str]) -> Path:
    """Draw images before and after an attack as a contact sheet."""
    columns = [
        [
            Panel(_read(classes, example.before_label, example.label), example.before),
            Panel(_read(classes, example.after_label, example.label), example.after),
        ]
        for example in examples
    ]
    return draw_contact_sheet(path, columns, ["before", "after"])


def draw_defence(path: Path, examples: Sequence[DefenceExample], classes: Sequence[str]) -> Path:
    """Draw attacked images above the verdicts on them as a contact sheet; below their originals where all have one."""
    # A vote has no witness at all.
    witnesses = any(each.example.hidden is not None for each in examples)
    detector = any(each.example.row.alert is not None for each in examples)
    originals = all(each.original is not None for each in examples)
    columns = []
    for each in examples:
        row, hidden = each.example.row, each.example.hidden
        verdict = f"{_read(classes, row.prediction, row.label)}: {kind_of(row)}"
        verdict += " (no witness)" if witnesses and hidden is None and not detector else ""
        seen = None if hidden is None else visible(each.example.image, hidden)
        attacked = Panel(_read(classes, row.base_prediction, row.label), each.attacked, each.patch)
        original = [Panel(classes[row.label], each.original)] if originals else []
        columns.append([*original, attacked, Panel(verdict, seen)])
    verdict_name = (
        f"verdict, and {ALERTED if detector else 'what is visible to its witness'}" if witnesses else "verdict"
    )
    names = ["attacked, and label by the base model", verdict_name]
    return draw_contact_sheet(path, columns, ["original and its label", *names] if originals else names)


def draw_contact_sheet(path: Path, columns: Sequence[Sequence[Panel]], names: Sequence[str]) -> Path:
    """Draw images side by side, each a column of panels; write a PNG.

    Args:
        path: The PNG.
        columns: Panels of each image.
        names: Names of the rows.
    """
    figure = Figure(figsize=(0.4 + 1.8 * len(columns), 2.1 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), len(columns), squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(fill(name, 24), fontsize=8)
    for column, panels in zip(axes.T, columns, strict=True):
        for axis, panel in zip(column, panels, strict=True):
            _draw_panel(axis, panel)
    return _write(path, figure)


def draw_bars(path: Path, values: Mapping[str, float], title: str) -> Path:
    """Draw a horizontal bar for each name, the first one on top; write a PNG."""
    figure = Figure(figsize=(7, 0.8 + 0.3 * len(values)), layout="constrained")
    axis = figure.subplots()
    drawn = axis.barh(list(values), list(values.values()), color=BLUE)
    axis.bar_label(drawn, fmt="%.1f", padding=3, fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    figure.suptitle(title, fontsize=9, x=0.01, horizontalalignment="left")
    axis.tick_params(labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    return _write(path, figure)


def _write(path: Path, figure: Figure) -> Path:
    dpi = min(_DPI, _MOST_PX / max(figure.get_size_inches()))
    return write_whole(path, lambda partial: figure.savefig(partial, format="png", dpi=dpi))


def _read(classes: Sequence[str], read: int, label: int) -> str:
    return classes[read] if read == label else f"{classes[read]}, not {classes[label]}"


def _draw_panel(axis: Axes, panel: Panel) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    title = fill(panel.title, 24)
    if panel.image is None:
        axis.text(0.5, 0.5, title, fontsize=8, ha="center", va="center", transform=axis.transAxes, parse_math=False)
        return
    axis.set_title(title, fontsize=8, parse_math=False)
    axis.imshow(panel.image)
    if panel.outlined is not None:
        _outline(axis, panel.outlined)


def _outline(axis: Axes, hidden: np.ndarray) -> None:
    """Draw the borders between hidden and other pixels ``[height, width]``."""
    padded = np.pad(hidden, 1)
    across, down = np.argwhere(padded[1:] != padded[:-1]) - 0.5, np.argwhere(padded[:, 1:] != padded[:, :-1]) - 0.5
    lines = [[(x - 1, y), (x, y)] for y, x in across] + [[(x, y - 1), (x, y)] for y, x in down]
    for colour, width in (("white", 3.5), (_OUTLINE, 1.8)):
        axis.add_collection(LineCollection(lines, colors=colour, linewidths=width, capstyle="projecting"))


def _draw_map(axis: Axes, image: np.ndarray, safe: np.ndarray) -> None:
    """Draw the centres of the placements over the image, each in the colour of its verdict."""
    height, width = image.shape[:2]
    patch = (height - safe.shape[0] + 1, width - safe.shape[1] + 1)
    axis.imshow(image.mean(2), cmap="gray", vmin=0, vmax=1)
    left, top = (patch[1] - 1) / 2 - 0.5, (patch[0] - 1) / 2 - 0.5
    extent = (left, left + safe.shape[1], top + safe.shape[0], top)
    axis.imshow(safe, cmap=ListedColormap([_UNSAFE, _SAFE]), vmin=0, vmax=1, alpha=0.5, extent=extent)
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)
    axis.set_title(f"{patch[0]}x{patch[1]} px patch centred here: {whole_percent(float(safe.mean()))} safe", fontsize=9)
