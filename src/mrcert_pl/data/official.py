"""Files that nobody but their makers may have written."""

from pathlib import Path

from torchvision.datasets.utils import check_integrity

from mrcert_pl.errors import DataError


def check_official(file: Path, md5: str) -> None:
    """Make sure that a file is the published one.

    Raises:
        DataError: if it is missing, or its MD5 sum is another.
    """
    if not file.is_file():
        raise DataError(f"there is no file {file}")
    if not check_integrity(str(file), md5):
        raise DataError(f"{file} is damaged or not the official file (its MD5 sum is not {md5})")
