"""``locations.npz``: on how many images a certificate holds, by where on them the patch is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole


@dataclass(frozen=True)
class Locations:
    """Numbers of images that are labelled rightly and stay so, for every placement of the patch.

    Attributes:
        counts: for each shape of the patch int ``[top, left]``, over the pixels where its top left pixel can be.
        n: images in all.
        image_px: height and width of the images.
    """

    counts: tuple[np.ndarray, ...]
    n: int
    image_px: tuple[int, int]

    def shapes_px(self) -> list[tuple[int, int]]:
        """Height and width of the patch of each map."""
        height, width = self.image_px
        return [(height - count.shape[0] + 1, width - count.shape[1] + 1) for count in self.counts]


def write_locations(path: Path, counts: Sequence[np.ndarray], n: int, image_px: tuple[int, int]) -> Path:
    """Write the maps of a run; see :class:`Locations`."""
    maps: Any = {f"counts_{shape}": count for shape, count in enumerate(counts)}

    def save(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez_compressed(file, n=n, image_px=image_px, **maps)

    return write_whole(path, save)


def read_locations(path: Path) -> Locations:
    """Read the maps of a run.

    Raises:
        ResultsError: if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            counts = tuple(content[f"counts_{shape}"] for shape in range(len(content.files) - 2))
            height, width = content["image_px"].tolist()
            return Locations(counts, int(content["n"]), (height, width))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise ResultsError(f"can't read the maps in {path} ({error}); run its evaluation again") from error
