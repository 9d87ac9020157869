"""Results on disk as plain values."""

from pathlib import Path
from typing import Any

from mrcert_pl.results import read_run
from mrcert_pl.results import verdicts as files
from mrcert_pl.results.codec import encode


def read_results(file: Path) -> dict[str, Any]:
    """The content of a ``results.json``."""
    return encode(read_run(file).result)


def read_verdicts(file: Path) -> list[dict[str, Any]]:
    """The rows of a ``verdicts.parquet``."""
    return [encode(row) for row in files.read_verdicts(file)]
