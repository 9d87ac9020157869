"""Data sets whose images are files of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torchvision.datasets.folder import make_dataset

from mrcert_pl.data.images import Exif, is_image_file, read_image
from mrcert_pl.data.records import Record, Split
from mrcert_pl.data.splits import held_out
from mrcert_pl.errors import DataError

FIRST_TEST_ID = 10_000_000
"""Id of the first test image: larger than any training id, so that it does not depend on the training images."""

_LISTED = 5


@dataclass(frozen=True)
class ImageFiles:
    """Images below a folder; the path of each record is relative to it.

    Attributes:
        root: The folder.
        splits: Records of each split, ascending by id.
        exif: Whether images are rotated as their EXIF data says.
        skipped: Files that were left out, relative to the folder.
    """

    root: Path
    splits: Mapping[Split, Sequence[Record]]
    exif: Exif = "ignore"
    skipped: tuple[str, ...] = ()

    def records(self, split: Split) -> Sequence[Record]:
        return self.splits[split]

    def image(self, record: Record) -> Image.Image:
        return read_image(self.root / record.path, self.exif)


def image_folders(
    root: Path, folders: Sequence[str], val_fraction: float, train: str = "train", test: str = "val"
) -> ImageFiles:
    """Open a data set with one folder of images per class, below a training and a test folder.

    The id of a training image is its position in the sorted relative paths of all training images; of a test image
    that position plus 10,000,000.

    Args:
        root: Folder that holds both.
        folders: Names of the class folders, in the order of the labels.
        val_fraction: Fraction of the training images that is held out for validation.
        train: Name of the folder with training images.
        test: Name of the folder with test images.

    Raises:
        DataError: if a folder is missing, empty, or has other classes.
    """
    training, testing = (labelled(root, part, folders) for part in (train, test))
    rest, val = held_out(numbered(training), val_fraction)
    return ImageFiles(root, {"train": rest, "val": val, "test": numbered(testing, FIRST_TEST_ID)})


def numbered(files: Sequence[tuple[int, str]], first_id: int = 0) -> list[Record]:
    """Make records of labels and paths; ids are positions after ``first_id``."""
    return [Record(first_id + position, *file) for position, file in enumerate(files)]


def labelled(
    root: Path, part: str, folders: Sequence[str], is_valid: Callable[[str], bool] = is_image_file
) -> list[tuple[int, str]]:
    """Return label and path (relative to ``root``) of the images in ``root/part/<class folder>/``, sorted by path.

    Args:
        root: Folder of the data set.
        part: Folder of a split below it, ``"."`` for none.
        folders: Names of the class folders, in the order of the labels.
        is_valid: Whether a path is that of an image; by default by its suffix, without hidden files.

    Raises:
        DataError: if the folder is missing, a class folder is empty, or the class folders are not ``folders``.
    """
    parent = root / part
    if not parent.is_dir():
        raise DataError(f"there is no folder {parent}")
    found = set(subfolders(parent))
    missing, surplus = sorted(set(folders) - found), sorted(found - set(folders))
    differences = [_listed("it lacks", missing)] if missing else []
    if surplus:
        differences.append(_listed("no class is", surplus))
    if differences:
        raise DataError(f"{parent} doesn't hold the {len(folders)} classes of the data set: {'; '.join(differences)}")
    found_files = make_dataset(
        parent, {name: label for label, name in enumerate(folders)}, is_valid_file=is_valid, allow_empty=True
    )
    files = [(label, Path(file).relative_to(root)) for file, label in found_files]
    visible = sorted(
        ((label, path.as_posix()) for label, path in files if not is_hidden(path)), key=lambda file: file[1]
    )
    if empty := sorted(set(range(len(folders))) - {label for label, _ in visible}):
        raise DataError(f"the class folder {parent / folders[empty[0]]} holds no image")
    return visible


def is_hidden(path: Path) -> bool:
    """Whether a relative path, or a folder on it, is hidden."""
    return any(part.startswith(".") for part in path.parts)


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _listed(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what} {', '.join(names[:_LISTED])}{more}"
