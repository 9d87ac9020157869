"""Files that are complete or absent, and folders with one writer."""

import errno
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mrcert_pl.errors import ResultsError

_LOCK = ".lock"
# File systems without hard links answer a link with one of these.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def unique_name() -> str:
    """A file name part that no other process on any machine uses: host, process id and random digits."""
    host = "".join(c for c in socket.gethostname().split(".")[0] if c.isalnum() or c == "-") or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def write_whole(
    path: Path, write: Callable[[Path], object], chosen_by: str = "paths.output_dir", replace: bool = True
) -> Path:
    """Write a file under a temporary name beside its target, flush it to the disk and rename it.

    A process that is killed at any moment leaves the earlier file, the new file or no file under this name, never a
    part of one. A hidden ``.partial`` file may remain.

    Args:
        path: Target file.
        write: Function that writes the file at the path that it gets.
        chosen_by: Setting or argument that determines the target, for the error message.
        replace: Whether an existing file may be replaced.

    Raises:
        ResultsError: if the folder or the file can't be written, or if the file exists and must not be replaced.
    """
    partial = path.with_name(f".{path.name}.{unique_name()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        _flush_to_disk(partial)
        if replace:
            partial.replace(path)
        else:
            _link(partial, path, chosen_by)
        _flush_to_disk(path.parent)
    except OSError as error:
        raise cannot_write(path, error, chosen_by) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return path


def cannot_write(path: Path, error: OSError, chosen_by: str = "paths.output_dir") -> ResultsError:
    """Return the error that names a file which can't be written, the reason and the setting that chooses another."""
    return ResultsError(f"can't write {path}: {error.strerror or error}; choose another {chosen_by}")


def write_json(path: Path, content: Any, chosen_by: str = "paths.output_dir", replace: bool = True) -> Path:
    """Write plain values as indented JSON with :func:`write_whole`.

    Raises:
        ResultsError: as :func:`write_whole`.
    """
    text = json.dumps(content, indent=2) + "\n"
    return write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"), chosen_by, replace)


@contextmanager
def run_lock(folder: Path, chosen_by: str = "hydra.run.dir") -> Iterator[None]:
    """Make this process the only writer of a run's folder; the system releases the lock of a killed process.

    Args:
        folder: Folder of the run; it is made if it does not exist.
        chosen_by: Setting or argument that determines the folder, for the error message.

    Raises:
        ResultsError: if another process holds the lock, or the folder can't be written.
    """
    lock = FileLock(folder / _LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ResultsError(
            f"another process is writing to {folder}; wait until it has ended or choose another {chosen_by}"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultsError(f"can't lock {folder}: {reason}; choose another {chosen_by}") from error
    try:
        yield
    finally:
        lock.release()


def refuse_finished(file: Path, chosen_by: str = "hydra.run.dir") -> None:
    """Check that a run's folder holds no finished result, before a new run writes to it.

    Args:
        file: The file that a finished run leaves, for example ``results.json``.
        chosen_by: Setting or argument that determines the folder, for the error message.

    Raises:
        ResultsError: if the file exists.
    """
    if file.exists():
        raise ResultsError(
            f"{file} is the result of an earlier run and is not overwritten; remove it or choose another {chosen_by}"
        )


def _flush_to_disk(path: Path) -> None:
    """Wait until the content of a file, or the entries of a folder, are on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder on Windows
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse it for folders.
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


def _link(partial: Path, path: Path, chosen_by: str) -> None:
    """Give a file its name unless that is taken, in one step where the file system has hard links."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno in _NO_LINKS and not path.exists():
            partial.replace(path)
        elif error.errno in (errno.EEXIST, *_NO_LINKS):
            raise ResultsError(
                f"{path} exists and is not overwritten; remove it or choose another {chosen_by}"
            ) from error
        else:
            raise
