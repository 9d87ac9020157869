"""Files that are either whole or not there."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mrcert_pl.errors import ResultsError


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` make the file beside its place, then move it there in one step.

    Raises:
        ResultsError: if the folder can't be made or written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise ResultsError(f"can't write {path}: {error.strerror or error}; choose another paths.output_dir") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return path
