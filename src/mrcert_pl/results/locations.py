"""``locations.npz``: number of images on which a certificate holds, by the location of the patch."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole

# What NumPy and the modules below it raise for a damaged or forged archive.
_DAMAGE = (OSError, EOFError, ValueError, TypeError, LookupError, MemoryError, RuntimeError, BadZipFile, zlib.error)


@dataclass(frozen=True)
class Locations:
    """Numbers of images that are classified correctly and stay so, for every placement of the patch.

    Attributes:
        counts: For each shape of the patch int ``[top, left]``, over the pixels where its top left pixel can be.
        n: Images in all.
        image_px: Height and width of the images.
    """

    counts: tuple[np.ndarray, ...]
    n: int
    image_px: tuple[int, int]

    def shapes_px(self) -> list[tuple[int, int]]:
        """Height and width of the patch of each map."""
        height, width = self.image_px
        return [(height - count.shape[0] + 1, width - count.shape[1] + 1) for count in self.counts]


def write_locations(path: Path, locations: Locations) -> Path:
    """Write the maps of a run."""
    maps: Any = {f"counts_{shape}": count for shape, count in enumerate(locations.counts)}

    def save(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez_compressed(file, n=locations.n, image_px=locations.image_px, **maps)

    return write_whole(path, save)


def read_locations(path: Path) -> Locations:
    """Read the maps of a run.

    Raises:
        ResultsError: If the file is missing or damaged.
    """
    try:
        # NumPy leaves the file open if it can't read the archive.
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise ValueError("not an archive of arrays")
            counts = tuple(content[f"counts_{shape}"] for shape in range(len(content.files) - 2))
            height, width = (int(side) for side in content["image_px"])
            n = int(content["n"])
        _check(counts, n, (height, width))
    except _DAMAGE as error:
        raise ResultsError(f"can't read the maps in {path} ({error}); run its evaluation again") from error
    return Locations(counts, n, (height, width))


def _check(counts: Sequence[np.ndarray], n: int, image_px: tuple[int, int]) -> None:
    if not counts or n < 1:
        raise ValueError("there is no map, or no image")
    for count in counts:
        if count.dtype.kind not in "iu" or count.ndim != 2 or not count.size:
            raise ValueError(f"a map must be integers [top, left], not {count.dtype} {list(count.shape)}")
        if any(places > side for places, side in zip(count.shape, image_px, strict=True)):
            raise ValueError(f"a map of {list(count.shape)} is larger than the image of {list(image_px)} px")
        if count.min() < 0 or count.max() > n:
            raise ValueError(f"the counts of a map must be 0 to {n}")
