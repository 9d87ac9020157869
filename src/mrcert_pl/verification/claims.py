"""Everything that an evaluation claims, and the tables that it must follow from, with all types checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mrcert_pl.errors import ConfigurationError, ResultsError
from mrcert_pl.geometry.patch import PatchSpec
from mrcert_pl.mutants.shards import Row, read_shard
from mrcert_pl.results.schema import EvaluationResult, VerdictRow
from mrcert_pl.results.verdicts import read_verdicts

_ADVICE = "run its evaluation again"
# Pairs of masks and windows, and of pixels and windows along an axis, that are enumerated.
_MOST = 1 << 26


@dataclass(frozen=True)
class Claim:
    """What an evaluation wrote.

    Attributes:
        folder: Folder of the run.
        result: Content of ``results.json``.
        rows: Rows of ``verdicts.parquet``.
        maps: Content of ``locations.npz``, ``None`` without that file.
    """

    folder: Path
    result: EvaluationResult
    rows: tuple[VerdictRow, ...]
    maps: Mapping[str, np.ndarray] | None

    @classmethod
    def read(cls, folder: Path) -> "Claim":
        """Read the files of a run.

        Raises:
            ResultsError: if a file is missing, damaged or malformed.
        """
        for file in (folder / name for name in ("results.json", "verdicts.parquet", "locations.npz")):
            if file.exists() and not file.is_file():
                raise ResultsError(f"{file} is no regular file; {_ADVICE}")
        result = EvaluationResult.read(folder / "results.json")
        return cls(folder, result, tuple(read_verdicts(folder / "verdicts.parquet")), _maps(folder / "locations.npz"))


@dataclass(frozen=True)
class Evidence:
    """The tables of a store.

    Attributes:
        folder: Folder of the shards.
        header: What made the tables.
        index: For each image its shard, its position there and its number of entries.
    """

    folder: Path
    header: Mapping[str, Any]
    index: Mapping[int, tuple[Path, int, int]]

    @classmethod
    def read(cls, folder: Path) -> "Evidence":
        """Read the headers and ids of a store; of several tables of an image the one with the most entries counts.

        Raises:
            ResultsError: if there are no tables, one is damaged, or they were made by different things.
        """
        # A pipe would be read without an end.
        files = [file for file in folder.glob("*.parquet") if file.is_file()]
        shards = sorted(file for file in files if not file.name.startswith("."))
        if not shards:
            raise ResultsError(
                f"there are no tables of mutants in {folder}, so there is nothing to compare the verdicts with; "
                "name the store= of the evaluation with --tables"
            )
        index: dict[int, tuple[Path, int, int]] = {}
        header: Mapping[str, Any] = {}
        for shard in shards:
            found, rows = read_shard(shard)
            if found != (header := header or found):
                raise ResultsError(
                    f"{shard} was made by something else than {shards[0]}; keep the tables of one evaluation in it"
                )
            for number, row in enumerate(rows):
                if row.id not in index or row.evaluated >= index[row.id][2]:
                    index[row.id] = (shard, number, row.evaluated)
        return cls(folder, header, index)

    def by_shard(self) -> Mapping[Path, list[int]]:
        """Ids of the images whose tables are in each shard."""
        shards: dict[Path, list[int]] = {}
        for image_id, (shard, *_) in self.index.items():
            shards.setdefault(shard, []).append(image_id)
        return shards

    def rows(self, shard: Path, ids: list[int]) -> list[Row]:
        """Tables of images in one shard."""
        rows = read_shard(shard)[1]
        return [rows[self.index[image_id][1]] for image_id in ids]

    def borders(self) -> list[list[int]] | None:
        """Borders of the windows in px along both axes, ``None`` for models without a grid of windows.

        Raises:
            ResultsError: if they are malformed or don't enclose the windows of the masks.
        """
        borders = self.header.get("borders")
        if borders is None:
            return None
        axes: list[Any] = borders if isinstance(borders, list) and len(borders) == 2 else [None]
        for axis in axes:
            if not (isinstance(axis, list) and len(axis) > 1 and all(type(px) is int for px in axis)):
                raise self._malformed("borders")
            if axis[0] != 0 or any(after <= before for before, after in pairwise(axis)):
                raise self._malformed("borders")
            if axis[-1] * (len(axis) - 1) > _MOST:
                raise self._malformed("borders")
        if (len(axes[0]) - 1) * (len(axes[1]) - 1) != self.mutants().get("windows") or axes[0][-1] * axes[1][-1] > 1e9:
            raise self._malformed("borders")
        return axes

    def mutants(self) -> Mapping[str, Any]:
        """Plain values that identify the mutants.

        Raises:
            ResultsError: if they identify neither unions of masks nor ablations.
        """
        mutants = self.header.get("mutants")
        if not isinstance(mutants, dict):
            raise self._malformed("mutants")
        if "masks" in mutants:
            masks, windows = mutants["masks"], mutants.get("windows")
            if type(windows) is not int or not 0 < windows <= 1 << 20 or not isinstance(masks, list) or not masks:
                raise self._malformed("mutants")
            if len(masks) * windows > _MOST or not all(isinstance(m, str) and _is_mask(m, windows) for m in masks):
                raise self._malformed("mutants.masks")
            if "coarser" in mutants:
                self._check_refined(mutants, windows)
        else:
            image_px: Any = mutants.get("image_px")
            numbers = [mutants.get(name) for name in ("width", "stride", "votes")]
            if not isinstance(image_px, list) or len(image_px) != 2:
                raise self._malformed("mutants.image_px")
            if not all(type(value) is int and 0 < value <= 1 << 20 for value in [*numbers, *image_px]):
                raise self._malformed("mutants")
            if mutants.get("ablations") not in ("row", "column", "both", "block"):
                raise self._malformed("mutants.ablations")
        return mutants

    def _check_refined(self, mutants: Mapping[str, Any], windows: int) -> None:
        coarser, threshold = mutants["coarser"], mutants.get("threshold")
        if (
            not isinstance(coarser, list)
            or not coarser
            or not all(isinstance(masks, list) and masks for masks in coarser)
        ):
            raise self._malformed("mutants.coarser")
        if not all(isinstance(mask, str) and _is_mask(mask, windows) for masks in coarser for mask in masks):
            raise self._malformed("mutants.coarser")
        if type(threshold) is not float or not 0 < threshold < 1:
            raise self._malformed("mutants.threshold")

    def _malformed(self, field: str) -> ResultsError:
        return ResultsError(f"the tables in {self.folder} have a malformed header ({field}); {_ADVICE}")


def shapes_px(result: EvaluationResult, image_px: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Height and width in px of every shape of the patch that a result states.

    Raises:
        ResultsError: if the patch can't be read or is larger than the image.
    """
    try:
        return PatchSpec(result.patch).shapes_px(image_px)
    except (ConfigurationError, ValueError, OverflowError) as error:
        raise ResultsError(f"the result states the patch {result.patch!r}, which is none: {error}") from error


def _is_mask(text: str, windows: int) -> bool:
    try:
        return 0 < int(text, 16) < 1 << windows
    except ValueError:
        return False


def _maps(path: Path) -> Mapping[str, np.ndarray] | None:
    if not path.exists():
        return None
    try:
        # NumPy leaves the file open if it can't read the archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            maps = {name: content[name] for name in content.files}
    except Exception as error:
        # The zip and array readers raise anything, by the byte that is damaged.
        raise ResultsError(f"can't read the maps in {path} ({error}); {_ADVICE}") from error
    if any(array.dtype.kind not in "iu" for array in maps.values()):
        raise ResultsError(f"{path} is malformed (its arrays must hold integers); {_ADVICE}")
    return maps
