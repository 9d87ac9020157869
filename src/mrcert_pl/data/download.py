"""Fetching data sets: resumed where they stopped, checked, and there completely or not at all."""

import shutil
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from rich.progress import wrap_file
from torchvision.datasets.utils import check_integrity, extract_archive

from mrcert_pl.errors import DataError

_ARCHIVES = (".tgz", ".tar.gz", ".zip")
_TIMEOUT_S = 60
_CHUNK_BYTES = 1 << 20
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206


class Archive(NamedTuple):
    """A file to fetch, its MD5 sum, and the folder that it goes to or is unpacked in."""

    url: str
    md5: str
    folder: str = "."


class Download(NamedTuple):
    """The archives of a data set, what they make, and the folder in them that holds it."""

    archives: tuple[Archive, ...]
    makes: tuple[str, ...]
    top: str = "."


def fetch(download: Download, root: Path, is_complete: Callable[[Path], bool]) -> None:
    """Fetch and unpack beside the folder of the data set, or inside when that exists; only then move into place.

    Processes that want the same data set wait for the first one.

    Raises:
        DataError: when a file can't be fetched or is not the right one, or parts of the data set are in the way.
    """
    # Both are on the same disk as the place where the files go, so that moving them there is one step.
    work = root / ".partial" if root.exists() else root.with_name(f"{root.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / "lock"):
        if is_complete(root):
            return
        for name in download.makes:
            if (root / name).exists():
                raise DataError(f"{root / name} is there, but the data set is not complete; move it away first")
        unpacked = work / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        for archive in download.archives:
            file = get(archive.url, archive.md5, work)
            folder = unpacked / archive.folder
            folder.mkdir(parents=True, exist_ok=True)
            if file.name.endswith(_ARCHIVES):
                extract_archive(str(file), str(folder))
            else:
                shutil.copy(file, folder)
        if root.exists():
            for name in download.makes:
                (unpacked / download.top / name).rename(root / name)
        else:
            (unpacked / download.top).rename(root)
    shutil.rmtree(work, ignore_errors=True)


def get(url: str, md5: str, folder: Path) -> Path:
    """Fetch one file, going on from what is there of it.

    Raises:
        DataError: when it can't be fetched, or its MD5 sum is wrong.
    """
    file = folder / url.rpartition("/")[2]
    if check_integrity(str(file), md5):
        return file
    partial = file.with_name(f"{file.name}.part")
    start = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "mrcert_pl", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S) as response:
            resumed = response.status == _PARTIAL_CONTENT
            total = int(response.headers.get("Content-Length") or 0)
            with (
                partial.open("ab" if resumed else "wb") as target,
                wrap_file(response, total, description=file.name) as source,
            ):
                shutil.copyfileobj(source, target, _CHUNK_BYTES)
            if response.length:
                raise ConnectionError(f"the connection ended {response.length:,} bytes too early")
    except HTTPError as error:
        # All of it was there already.
        if error.code != _RANGE_NOT_SATISFIABLE:
            raise DataError(f"{url} could not be fetched: {error}") from error
    except (OSError, HTTPException) as error:
        raise DataError(f"{url} could not be fetched: {error}. The next attempt resumes it") from error
    if not check_integrity(str(partial), md5):
        partial.unlink()
        raise DataError(f"{url} is not the file that was expected: its MD5 sum is not {md5}. It was removed; try again")
    return partial.rename(file)
