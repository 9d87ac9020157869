"""What has to be known of a data set before any of its files are opened, and how they come to be there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrcert_pl.data.download import Download, fetch
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.data.records import Source
from mrcert_pl.errors import DataError


@dataclass(frozen=True)
class DatasetDescription:
    """A data set of the catalogue.

    Attributes:
        name: name in configurations and folders.
        classes: names of the classes, in the order of the labels.
        resize: how its images come to the size of the model, see :class:`mrcert_pl.data.Preprocessing`.
        source: makes the data set ready, from its folder.
        layout: the files that are expected, relative to its folder; none for an embedded data set.
        origin: where the files are to be had.
        download: how they are fetched, if that is allowed.
        attacked: the data set that its images come from, if they carry patches that were made to mislead a model.
    """

    name: str
    classes: tuple[str, ...]
    resize: Resize
    source: Callable[[Path], Source]
    layout: tuple[str, ...] = ()
    origin: str = ""
    download: Download | None = None
    attacked: str | None = None

    def folder(self, root: str | Path | None) -> Path:
        """The folder of the data set: ``root``, or ``data/<name>`` below the working directory."""
        return Path(f"data/{self.name}" if root is None else root).expanduser().absolute()

    def open(self, root: str | Path | None = None) -> Source:
        """Make the data set ready.

        Raises:
            DataError: when files are missing, damaged or not what they should be, with what is expected where.
        """
        folder = self.folder(root)
        try:
            if self.layout and not folder.is_dir():
                raise DataError(f"there is no folder {folder}")
            return self.source(folder)
        except (DataError, OSError) as error:
            get = "Get it with dataset.download=true, or" if self.download else "Get it"
            raise DataError(f"{self.name}: {error}\n{self._expected(folder)}\n{get} from {self.origin}") from error

    def fetch(self, root: str | Path | None = None) -> None:
        """Download the data set, unless it is there already.

        Raises:
            DataError: when that isn't allowed or doesn't work, with what is expected where.
        """
        folder = self.folder(root)
        if self._is_complete(folder):
            return
        try:
            if self.download is None:
                raise DataError("it can't be downloaded by this program; its owners hand it to registered users only")
            fetch(self.download, folder, self._is_complete)
        except (DataError, OSError) as error:
            raise DataError(
                f"{self.name}: {error}\nWithout a network, copy it there by hand. {self._expected(folder)}\n"
                f"Get it from {self.origin}"
            ) from error

    def _is_complete(self, folder: Path) -> bool:
        try:
            self.source(folder)
        except (DataError, OSError):
            return False
        return True

    def _expected(self, folder: Path) -> str:
        files = "".join(f"\n  {folder / file}" for file in self.layout)
        return f"Expected (dataset.root=... names another folder):{files}"
