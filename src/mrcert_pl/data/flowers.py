"""Oxford 102 flowers, with their own training, validation and test images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from mrcert_pl.data.folders import ImageFiles
from mrcert_pl.data.official import check_official
from mrcert_pl.data.records import Record, Split
from mrcert_pl.errors import DataError

FOLDER = "flowers-102"
# As torchvision knows them.
LABELS = ("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d")
SPLITS = ("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c")
_KEYS: dict[Split, str] = {"train": "trnid", "val": "valid", "test": "tstid"}


def flowers102(root: Path) -> ImageFiles:
    """The official split. The id of an image is the number in its file name (from 1 on).

    Raises:
        DataError: when a file is missing or damaged.
    """
    images = root / FOLDER / "jpg"
    if not images.is_dir():
        raise DataError(f"there is no folder {images}")
    labels = _matrix(root / FOLDER / LABELS[0], LABELS[1], "labels")
    splits = {
        split: [
            Record(number, int(labels[number - 1]) - 1, f"{FOLDER}/jpg/image_{number:05d}.jpg")
            for number in sorted(_matrix(root / FOLDER / SPLITS[0], SPLITS[1], key).tolist())
        ]
        for split, key in _KEYS.items()
    }
    _check_listed(root, [record for records in splits.values() for record in records])
    return ImageFiles(root, splits)


def _matrix(file: Path, md5: str, key: str) -> np.ndarray:
    check_official(file, md5)
    return np.atleast_1d(loadmat(file, squeeze_me=True)[key])


def _check_listed(root: Path, records: Sequence[Record]) -> None:
    present = {file.name for file in (root / FOLDER / "jpg").iterdir()}
    missing = [record.path for record in records if Path(record.path).name not in present]
    if missing:
        raise DataError(f"{len(missing)} of {len(records)} pictures are missing, the first is {root / missing[0]}")
