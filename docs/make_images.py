"""Figures of docs/concepts.md, drawn from the package's own masks:  python docs/make_images.py."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from mrcert_pl.data.digits import Digits
from mrcert_pl.geometry import PatchSpec, covering_lattice, location_maps, window_borders
from mrcert_pl.views.drawing import BLUE, ORANGE

FOLDER = Path(__file__).parent / "images"
SIZE, WINDOWS = 224, 14
GRID, WINDOW_PX = (1, WINDOWS), (SIZE, SIZE // WINDOWS)
PATCH = PatchSpec(32)
LOCATION = (120, 86)
GREY = "#d4d4d4"


def main() -> None:
    """Write all figures."""
    matplotlib.rcParams.update({"svg.hashsalt": "mrcert_pl", "font.size": 9})
    for name, figure in (("masks", masks()), ("cases", cases()), ("locations", locations())):
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.08)


def masks() -> Figure:
    """Draw a patch, the mask that covers it, and a union of two masks."""
    lattice = covering_lattice(GRID, WINDOW_PX, PATCH, order=2)
    touched = range(LOCATION[1] // WINDOW_PX[1], (LOCATION[1] + 31) // WINDOW_PX[1] + 1)
    cover = next(mask for mask in lattice.masks if all(mask >> window & 1 for window in touched))
    figure, axes = panels(3)
    titles = ("a patch of 32 px, windows of 16 px", "the mask that covers it", "union of two masks")
    for axis, title, union in zip(axes, titles, (0, cover, cover | lattice.masks[0]), strict=True):
        draw_image(axis, patched(digit()))
        hide(axis, union)
        axis.set_title(title, fontsize=9)
    return figure


def cases() -> Figure:
    """Draw the labels of the mutants in MRCert's four Cases, for two patches."""
    rows = ("nothing hidden", "one mask", "two masks")
    strips = {
        "Case 1": ("1111111111", "1111111111", "1111111111"),
        "Case 2": ("4414444444", "1111111111", "1111111111"),
        "Case 3": ("4417444441", "1114111111", "1111111111"),
        "Case 4": ("4417474741", "1174111471", "1117111411"),
    }
    figure = Figure(figsize=(6, 5), layout="constrained")
    for axis, (case, labels) in zip(figure.subplots(2, 2).flat, strips.items(), strict=True):
        axis.set(xlim=(-0.3, 10.3), ylim=(2.9, -0.2), xticks=[], yticks=[])
        axis.set_title(case, fontsize=10, pad=10)
        axis.spines[:].set_visible(False)
        agree = [len(set(strip)) == 1 for strip in labels]
        witness = agree.index(True) if any(agree) else None
        for row, strip in enumerate(labels):
            for column, label in enumerate(strip):
                colour = "#dcebf5" if label == "1" else "#fbeccb"
                axis.add_patch(Rectangle((column, row), 1, 0.6, facecolor=colour, edgecolor="white"))
                axis.text(column + 0.5, row + 0.33, label, ha="center", va="center", fontsize=8)
            if row == witness:
                axis.add_patch(Rectangle((0, row), 10, 0.6, fill=False, edgecolor=BLUE, linewidth=2))
            axis.text(0, row - 0.06, rows[row] + (": the witness" if row == witness else ""), fontsize=8)
    return figure


def locations() -> Figure:
    """Draw the location map of an image with two unsafe masks."""
    lattice = covering_lattice(GRID, WINDOW_PX, PATCH, order=2)
    safe = torch.ones(1, len(lattice.masks), dtype=torch.bool)
    safe[0, 5:7] = False
    safe_locations = location_maps(safe, lattice.masks, window_borders(GRID, WINDOW_PX), PATCH)[0][0].numpy()
    figure, axes = panels(2)
    draw_image(axes[0], digit())
    axes[0].set_title("the image", fontsize=9)
    whole = np.full((SIZE, SIZE), np.nan)
    height, width = safe_locations.shape
    whole[:height, :width] = safe_locations
    axes[1].imshow(whole, cmap=ListedColormap([ORANGE, BLUE]), vmin=0, vmax=1, interpolation="nearest")
    axes[1].set_title("top left pixel of a 32 px patch", fontsize=9)
    for x, y, text in ((40, 96, "safe"), (96, 96, "not\nproven"), (150, 96, "safe"), (208, 96, "out-\nside")):
        colour = "white" if text == "safe" else "black"
        axes[1].text(x, y, text, color=colour, ha="center", va="center", fontsize=8)
    return figure


def panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """Return a row of square panels without ticks."""
    figure = Figure(figsize=(3 * count, 3.4), layout="constrained")
    axes = figure.subplots(1, count)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    return figure, axes


def digit() -> np.ndarray:
    """Return a test image, ``[height, width]`` in 0 to 255."""
    source = Digits()
    record = next(record for record in source.records("test") if record.label == 1)
    return np.asarray(source.image(record).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def patched(image: np.ndarray) -> np.ndarray:
    """Return the image with a checkerboard patch."""
    top, left = LOCATION
    image = image.copy()
    rows, columns = np.indices((32, 32)) // 8
    image[top : top + 32, left : left + 32] = 255 * ((rows + columns) % 2)
    return image


def draw_image(axis: Axes, image: np.ndarray) -> None:
    """Draw the image and the borders of its windows."""
    axis.imshow(image, cmap="gray", vmin=0, vmax=255)
    for border in range(0, SIZE + 1, WINDOW_PX[1]):
        axis.axvline(border - 0.5, color=BLUE, linewidth=0.5, alpha=0.6)


def hide(axis: Axes, union: int) -> None:
    """Cover the hidden windows of a union."""
    for window in range(WINDOWS):
        if union >> window & 1:
            left = window * WINDOW_PX[1] - 0.5
            axis.add_patch(Rectangle((left, -0.5), WINDOW_PX[1], SIZE, facecolor=GREY, edgecolor=BLUE, linewidth=0.5))


if __name__ == "__main__":
    main()
