"""Files that are either whole or not there."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mrcert_pl.errors import ResultsError


def write_whole(path: Path, write: Callable[[Path], object], chosen_by: str = "paths.output_dir") -> Path:
    """Let ``write`` make the file beside its place, then move it there in one step.

    Args:
        path: the file.
        write: makes it at the path that it is given.
        chosen_by: the setting or argument that says where the file goes, for the error.

    Raises:
        ResultsError: if the folder can't be made or written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise ResultsError(f"can't write {path}: {error.strerror or error}; choose another {chosen_by}") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return path


def write_json(path: Path, content: Any, chosen_by: str = "paths.output_dir") -> Path:
    """Write plain values as indented JSON, as :func:`write_whole` does it.

    Raises:
        ResultsError: if the folder can't be made or written.
    """
    text = json.dumps(content, indent=2) + "\n"
    return write_whole(path, lambda partial: partial.write_text(text), chosen_by)
