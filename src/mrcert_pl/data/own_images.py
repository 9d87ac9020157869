"""One's own images, by their path alone: classes from the folders or from a table."""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import get_args

from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.folders import FIRST_TEST_ID, ImageFiles, is_hidden, labelled, numbered, subfolders
from mrcert_pl.data.images import is_image_file
from mrcert_pl.data.records import Record, Split
from mrcert_pl.data.splits import held_out
from mrcert_pl.errors import ConfigurationError, DataError

_SPLITS: tuple[Split, ...] = get_args(Split)
_TEST_FRACTION, _VAL_FRACTION = 0.2, 0.1
# Ids of validation images with a folder of their own, beyond those of the test images.
_FIRST_VAL_ID = 2 * FIRST_TEST_ID

# Label and path of the images of each part of a data set; "" is a data set without parts.
_Parts = Mapping[str, Sequence[tuple[int, str]]]


def describe_folder(root: str | Path | None = None, labels: str | Path | None = None) -> DatasetDescription:
    """Describe the images in a folder.

    Without ``labels`` the class of an image is the subfolder that it is in, in sorted order. If ``train``, ``val`` and
    ``test`` have subfolders, they are splits, and their subfolders the classes.

    Args:
        root: The folder.
        labels: CSV file with the columns ``path`` (relative to ``root``), ``label`` (name of the class) and
            optionally ``split`` (train, val or test).

    Raises:
        ConfigurationError: without a folder.
        DataError: if there is no such folder, there are no two classes in it, or the table can't be read.
    """
    if root is None:
        raise ConfigurationError("dataset=folder needs dataset.root=FOLDER, the folder with the images")
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} with images")
    if labels is not None:
        names, parts = _table(Path(labels).expanduser(), folder)
        found, source = set(parts), partial(_open_table, parts=parts)
    else:
        found = {split for split in _SPLITS if (folder / split).is_dir() and subfolders(folder / split)} or {""}
        first = next((split for split in _SPLITS if split in found), ".")
        names = subfolders(folder / first)
        source = partial(_open_folders, names=names, found=found)
    if len(names) < 2:
        raise DataError(
            f"{labels or folder} has {len(names)} class(es), and at least 2 are needed: "
            "one subfolder with images for each class, or dataset.labels=FILE.csv"
        )
    return DatasetDescription(
        "folder",
        tuple(names),
        resize="crop",
        source=source,
        notes=(_split_note(found), *_unused(folder, labels, found)),
    )


def _split_note(found: set[str]) -> str:
    if found == {""}:
        return (
            f"no train, val or test images are named: {_TEST_FRACTION:.0%} of each class are test images and "
            f"{_VAL_FRACTION:.0%} validation images, a fixed choice by the hash of the path"
        )
    reported = "test" if "test" in found else "val"
    if "train" not in found:
        return f"no training images: results are reported on {reported}"
    if found == set(_SPLITS):
        return "train, val and test images as given"
    if found == {"train"}:
        return f"no val or test images: results are reported on {_TEST_FRACTION:.0%} of the images in train"
    return f"results are reported on {reported}; {_VAL_FRACTION:.0%} of the images in train are validation images"


def _unused(folder: Path, labels: str | Path | None, found: set[str]) -> tuple[str, ...]:
    unused = [] if labels or found == {""} else [name for name in subfolders(folder) if name not in found]
    return (f"folders beside {', '.join(sorted(found))} are not used: {', '.join(unused)}",) if unused else ()


def _open_folders(root: Path, names: Sequence[str], found: set[str]) -> ImageFiles:
    skipped: list[str] = []

    def is_valid(path: str) -> bool:
        valid = is_image_file(path)
        if not (valid or is_hidden(relative := Path(path).relative_to(root))):
            skipped.append(relative.as_posix())
        return valid

    parts = {part: labelled(root, part or ".", names, is_valid) for part in found}
    return _assigned(root, parts, skipped)


def _open_table(root: Path, parts: _Parts) -> ImageFiles:
    files = [path for part in parts.values() for _, path in part]
    if missing := [path for path in files if not (root / path).is_file()]:
        raise DataError(
            f"{len(missing)} of the {len(files)} listed images are missing, the first is {root / missing[0]}"
        )
    return _assigned(root, parts, ())


def _assigned(root: Path, parts: _Parts, skipped: Sequence[str]) -> ImageFiles:
    """Number the images of each part, in sorted order, and make the splits that are not given.

    The images are rotated as their EXIF data says, as the guard does.
    """
    val: list[Record] = []
    train, test = numbered(parts.get("", parts.get("train", ()))), numbered(parts.get("test", ()), FIRST_TEST_ID)
    if "val" in parts and test:
        val = numbered(parts["val"], _FIRST_VAL_ID)
    elif "val" in parts:
        test = numbered(parts["val"], FIRST_TEST_ID)
    if not test:
        train, test = held_out(train, _TEST_FRACTION)
    if not val:
        # Of a training set that was reduced by the test images, the fraction of all images stays.
        whole = len(parts.get("", parts.get("train", ())))
        train, val = held_out(train, _VAL_FRACTION * whole / max(len(train), 1))
    return ImageFiles(root, {"train": train, "val": val, "test": test}, "apply", tuple(sorted(skipped)))


def _table(file: Path, root: Path) -> tuple[list[str], _Parts]:
    """Read class names and the images of each part from a CSV file."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or []
            if not {"path", "label"} <= set(columns):
                commas = ", separated by commas" if len(columns) == 1 else ""
                raise DataError(
                    f"{file} needs the columns path and label (and optionally split){commas}, got {list(columns)}"
                )
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise DataError(f"can't read {file}: it is not in UTF-8; save it as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"can't read {file}: {error}") from error
    names = sorted({row["label"] for _, row in rows if row["label"]})
    parts: dict[str, list[tuple[int, str]]] = {}
    # By the path without "./" and "//".
    listed: dict[PurePosixPath, int] = {}
    for number, row in rows:
        path, label, split = row["path"], row["label"], row["split"] if "split" in columns else ""
        inside = path and not Path(path).is_absolute() and ".." not in PurePosixPath(path).parts
        if not (inside and label):
            raise DataError(
                f"{file}, line {number}: a path below {root} and a label are needed, got {path!r}, {label!r}"
            )
        if (first := listed.setdefault(PurePosixPath(path), number)) != number:
            raise DataError(f"{file}, line {number}: {path} is listed twice, first in line {first}")
        if "split" in columns and split not in _SPLITS:
            raise DataError(f"{file}, line {number}: the split must be train, val or test, got {split!r}")
        parts.setdefault(split, []).append((names.index(label), path))
    return names, {part: sorted(files, key=lambda file: file[1]) for part, files in parts.items()}
