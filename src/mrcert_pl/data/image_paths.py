"""Image files that are named by path, folder or pattern."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mrcert_pl.data.images import is_image_file
from mrcert_pl.errors import DataError


class FoundImages(NamedTuple):
    """Image files, and files in the named folders that are none by their suffix."""

    files: list[Path]
    skipped: list[Path]


def find_images(sources: Iterable[str]) -> FoundImages:
    """Return the files that sources name, each once, in the order of the sources.

    A folder names the images in it and below, sorted; hidden files and files without the suffix of an image are
    skipped. A pattern (``photos/*.jpg``, ``photos/**/*.png``) names the files that match, sorted. Anything else is a
    file, whatever its suffix, even if it does not exist.

    Raises:
        DataError: for a folder without images, a pattern without matches, or no sources at all.
    """
    found = [_named_by(os.path.expanduser(source)) for source in sources]
    if not found:
        raise DataError("there are no images; name files, folders or patterns")
    files, skipped = ([file for each in found for file in each[i]] for i in (0, 1))
    return FoundImages(list(dict.fromkeys(files)), list(dict.fromkeys(skipped)))


def listed_images(lines: Iterable[str]) -> FoundImages:
    """Return the files that the lines of a list name, in their order; a repeated line names its files again.

    A line without images (a missing file, a pattern without matches, an empty folder) is the path of a file that can't
    be read.

    Raises:
        DataError: for an empty list.
    """
    files: list[Path] = []
    for source in (os.path.expanduser(path) for line in lines if (path := line.strip())):
        try:
            files += _named_by(source).files
        except DataError:
            files.append(Path(source))
    if not files:
        raise DataError("the list of images is empty; give one path per line")
    return FoundImages(files, [])


def _named_by(source: str) -> FoundImages:
    path = Path(source)
    if path.is_dir():
        below = sorted(path / name for name in glob.iglob("**", root_dir=path, recursive=True))
        # A broken link is a file that can't be read, and is reported.
        files = [file for file in below if file.is_file() or (file.is_symlink() and not file.exists())]
        if images := [file for file in files if is_image_file(file)]:
            return FoundImages(images, [file for file in files if not is_image_file(file)])
        others = f"; {files[0].name} does not have the suffix of one" if files else ""
        raise DataError(f"there is no image in {path} or below it{others}")
    if path.exists() or not glob.has_magic(source):
        return FoundImages([path], [])
    if files := sorted(file for name in glob.iglob(source, recursive=True) if (file := Path(name)).is_file()):
        return FoundImages(files, [])
    raise DataError(f"no file matches {source}; patterns are relative to {Path.cwd()}")
