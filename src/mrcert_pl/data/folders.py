"""Data sets whose pictures are files of their own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from mrcert_pl.data.images import read_image
from mrcert_pl.data.records import Record, Split
from mrcert_pl.data.splits import held_out
from mrcert_pl.errors import DataError

# Beyond any training set, so that the ids of test images don't depend on how many training images there are.
FIRST_TEST_ID = 10_000_000
_LISTED = 5


@dataclass(frozen=True)
class ImageFiles:
    """Pictures below a folder; the path of each record is relative to it."""

    root: Path
    splits: Mapping[Split, Sequence[Record]]

    def records(self, split: Split) -> Sequence[Record]:
        return self.splits[split]

    def image(self, record: Record) -> Image.Image:
        return read_image(self.root / record.path)


def image_folders(
    root: Path, folders: Sequence[str], val_share: float, train: str = "train", test: str = "val"
) -> ImageFiles:
    """A data set with a folder of pictures per class, below one folder to train on and one to test on.

    The id of a training image is its position in the sorted relative paths of all training images, of a test image
    that position plus 10,000,000.

    Args:
        root: the folder of both.
        folders: names of the class folders, in the order of the labels.
        val_share: share of the training images that a model is chosen by.
        train: name of the folder with the training images.
        test: name of the folder with the images that results are reported on.

    Raises:
        DataError: when a folder is missing, empty, or has other classes.
    """
    training = [Record(i, *found) for i, found in enumerate(labelled_files(root, train, folders))]
    testing = [Record(FIRST_TEST_ID + i, *found) for i, found in enumerate(labelled_files(root, test, folders))]
    rest, val = held_out(training, val_share)
    return ImageFiles(root, {"train": rest, "val": val, "test": testing})


def labelled_files(root: Path, part: str, folders: Sequence[str]) -> list[tuple[int, str]]:
    """Label and path (relative to ``root``) of the pictures in ``root/part/<class folder>/``, sorted by path.

    Hidden files and files without the ending of a picture don't count.

    Raises:
        DataError: when the folder is missing, a class folder is empty, or the class folders are not those asked for.
    """
    parent = root / part
    if not parent.is_dir():
        raise DataError(f"there is no folder {parent}")
    found = {entry.name for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    missing, surplus = sorted(set(folders) - found), sorted(found - set(folders))
    if missing or surplus:
        differences = [_listed("it lacks", missing)] * bool(missing) + [_listed("no class is", surplus)] * bool(surplus)
        raise DataError(f"{parent} doesn't hold the {len(folders)} classes of the data set: {'; '.join(differences)}")
    result = []
    for label, name in enumerate(folders):
        files = [file for file in os.listdir(parent / name) if _is_picture(file)]
        if not files:
            raise DataError(f"the class folder {parent / name} holds no picture ({', '.join(IMG_EXTENSIONS)})")
        result += [(label, f"{part}/{name}/{file}") for file in files]
    return sorted(result, key=lambda labelled: labelled[1])


def _is_picture(file: str) -> bool:
    return file.lower().endswith(IMG_EXTENSIONS) and not file.startswith(".")


def _listed(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what} {', '.join(names[:_LISTED])}{more}"
