"""Pictures that somebody points at: files, folders, patterns."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from mrcert_pl.errors import DataError


def find_images(places: Iterable[str]) -> list[Path]:
    """The files that some places mean, each once, in the order of the places.

    A folder means the pictures in it and below, sorted; hidden files, and files without the ending of a picture, don't
    count. A pattern (``photos/*.jpg``, ``photos/**/*.png``) means the files that match, sorted. Anything else is a
    file, whatever its ending, even if there is none.

    Raises:
        DataError: for a folder without pictures, a pattern that nothing matches, or no places at all.
    """
    found = dict.fromkeys(path for place in places for path in _meant_by(os.path.expanduser(place)))
    if not found:
        raise DataError("there are no images; name files, folders or patterns")
    return list(found)


def _meant_by(place: str) -> list[Path]:
    path = Path(place)
    if path.is_dir():
        files = [path / name for name in glob.iglob("**", root_dir=path, recursive=True)]
        if pictures := sorted(file for file in files if file.suffix.lower() in IMG_EXTENSIONS and file.is_file()):
            return pictures
        raise DataError(f"there is no picture in {path} or below it ({', '.join(IMG_EXTENSIONS)})")
    if path.exists() or not glob.has_magic(place):
        return [path]
    if files := sorted(file for name in glob.iglob(place, recursive=True) if (file := Path(name)).is_file()):
        return files
    raise DataError(f"no file matches {place}; patterns are relative to {Path.cwd()}")
