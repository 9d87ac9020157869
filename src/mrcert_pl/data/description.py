"""What is known of a data set before any of its files is opened, and how they are fetched."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.data.records import Source
from mrcert_pl.errors import DataError

_ARCHIVES = (".tgz", ".tar.gz", ".zip")


@dataclass(frozen=True)
class DatasetDescription:
    """A data set by name.

    Attributes:
        name: Name in configurations and default folders.
        classes: Names of the classes, in the order of the labels.
        resize: How images are brought to the size of the model, see :class:`mrcert_pl.data.Preprocessing`.
        source: Function that opens the data set in a folder.
        layout: Expected files, relative to the folder; empty for an embedded data set.
        origin: Where the files come from.
        download: Function that fetches the files into an empty folder; ``None`` if they can't be downloaded freely.
        attacked: Name of the data set that the images come from, if they carry adversarial patches.
        notes: Sentences about choices that were made for the user, such as a split.
    """

    name: str
    classes: tuple[str, ...]
    resize: Resize
    source: Callable[[Path], Source]
    layout: tuple[str, ...] = ()
    origin: str = ""
    download: Callable[[Path], object] | None = None
    attacked: str | None = None
    notes: tuple[str, ...] = ()

    def folder(self, root: str | Path | None) -> Path:
        """Return the folder of the data set: ``root``, or ``data/<name>`` below the working directory."""
        return Path(f"data/{self.name}" if root is None else root).expanduser().absolute()

    def open(self, root: str | Path | None = None) -> Source:
        """Open the data set.

        Raises:
            DataError: if files are missing, damaged or malformed; the message lists the expected files.
        """
        folder = self.folder(root)
        try:
            return self._opened(folder)
        except (DataError, OSError) as error:
            get = "Get it with dataset.download=true, or" if self.download else "Get it"
            origin = f"\n{get} from {self.origin}" if self.origin else ""
            raise DataError(f"{self.name}: {error}{self._expected(folder)}{origin}") from error

    def fetch(self, root: str | Path | None = None) -> None:
        """Download the data set unless it is there: completely or not at all.

        Further processes that fetch the same data set wait for the first one.

        Raises:
            DataError: if that is not possible; the message lists the expected files.
        """
        folder = self.folder(root)
        if self._is_complete(folder):
            return
        try:
            if self.download is None:
                raise DataError("it can't be downloaded by this program")
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f".{folder.name}.lock")):
                if not self._is_complete(folder):
                    _download(self.download, folder)
        except (DataError, OSError, RuntimeError, HTTPException) as error:
            raise DataError(
                f"{self.name}: the download failed: {error}\nWithout a network, copy it there by hand."
                f"{self._expected(folder)}\nGet it from {self.origin}"
            ) from error

    def _opened(self, folder: Path) -> Source:
        if self.layout and not folder.is_dir():
            raise DataError(f"there is no folder {folder}")
        source = self.source(folder)
        if self.attacked:
            return source
        labels = {record.label for split in ("train", "val", "test") for record in source.records(split)}
        if wrong := sorted(labels - set(range(len(self.classes)))):
            raise DataError(f"{folder} has the labels {wrong[:5]}, which are not 0 to {len(self.classes) - 1}")
        return source

    def _is_complete(self, folder: Path) -> bool:
        try:
            self._opened(folder)
        except (DataError, OSError):
            return False
        return True

    def _expected(self, folder: Path) -> str:
        if not self.layout:
            return ""
        files = "".join(f"\n  {_marked(folder, entry)}" for entry in self.layout)
        return f"\nExpected (dataset.root=... names another folder):{files}"


def _marked(folder: Path, entry: str) -> str:
    """Return a line of the layout with its full path; marked if it is missing."""
    if entry.startswith("("):
        return entry
    fixed = re.split(r"[^/]*[*<]", entry.split("  ")[0])[0]
    return f"{folder / entry}{'' if (folder / fixed).exists() else '  (missing)'}"


def _download(download: Callable[[Path], object], folder: Path) -> None:
    """Download beside the folder, on the same disk, and move the files there; nothing that is there is replaced."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        download(partial)
        for file in partial.rglob("*"):
            if file.name.endswith(_ARCHIVES):
                file.unlink()
        if not folder.exists():
            partial.rename(folder)
            return
        if there := [entry.name for entry in partial.iterdir() if (folder / entry.name).exists()]:
            raise DataError(f"{folder / there[0]} is there, but the data set is not complete; move it away first")
        for entry in partial.iterdir():
            entry.rename(folder / entry.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
