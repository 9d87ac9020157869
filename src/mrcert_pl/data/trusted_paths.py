"""Paths that a file names: those below the working directory are read without a confirmation by the user."""

from pathlib import Path, PureWindowsPath

from mrcert_pl.errors import DataError


def trusted_path(text: str) -> Path | None:
    """Return a path that a file names if it lies below the working directory, otherwise ``None``.

    Absolute paths elsewhere, ``..``, ``~``, Windows drives and interpolations (``${...}``) are not followed; such a
    path is read only if the user passes it on the command line.
    """
    path = Path(text)
    windows = PureWindowsPath(text)
    if not text.isprintable() or ".." in {*path.parts, *windows.parts} or text.startswith("~") or "${" in text:
        return None
    if not path.is_absolute():
        return None if windows.drive or windows.root else path
    return path if path.is_relative_to(Path.cwd()) else None


def below_here(text: str, what: str) -> Path:
    """Return :func:`trusted_path` of a path that an attacked set names.

    Raises:
        DataError: for a path that is not below the working directory; ``what`` is its name in the message.
    """
    if (path := trusted_path(text)) is None:
        raise DataError(
            f"the attacked set names the {what} {text!r}, which is not below the working directory and so is not read; "
            f"give it yourself if you trust it"
        )
    return path
