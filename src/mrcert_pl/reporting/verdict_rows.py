"""``verdicts.parquet``: one row per image."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole

# Rows that are kept in memory before they are written.
_GROUP = 4096
_BATCH = 256

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("path", pa.string()),
        ("label", pa.int32()),
        ("base_prediction", pa.int32()),
        ("prediction", pa.int32()),
        ("case", pa.int8()),
        ("witness", pa.int32()),
        ("certified", pa.bool_()),
        ("round_trip", pa.bool_()),
        ("certified_patches", pa.int8()),
        ("level", pa.int8()),
        ("safe_masks", pa.list_(pa.bool_())),
        ("certified_fraction", pa.float32()),
        ("mutants_evaluated", pa.int32()),
        ("gflops", pa.float64()),
    ]
)


class VerdictWriter:
    """Writes verdict rows while they come, so that memory doesn't grow with their number.

    Args:
        path: a Parquet file, which is whole when the context ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[dict[str, Any]] = []
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "VerdictWriter":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = pq.ParquetWriter(self.path, SCHEMA, compression="zstd")
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        assert self._file is not None
        self._file.close()

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take some rows; a field that a defender doesn't give (``level``) is null."""
        self._rows += rows
        if len(self._rows) >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        assert self._file is not None
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []


def merge_verdicts(parts: Sequence[Path], path: Path) -> Path:
    """Make one file of those that several processes have written, ascending by id, and remove them.

    Raises:
        ResultsError: for a part that isn't there.
    """
    if missing := [str(part) for part in parts if not part.is_file()]:
        raise ResultsError(
            f"the verdicts of other processes are missing: {', '.join(missing)}; "
            "paths.output_dir must be a folder that all machines see"
        )
    rows = pa.concat_tables([pq.read_table(part) for part in parts]).sort_by("id")
    write_whole(path, lambda partial: pq.write_table(rows, partial, compression="zstd"))
    for part in parts:
        part.unlink()
    return path


def write_verdicts(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write verdict rows as Parquet, all at once."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    return write_whole(path, lambda partial: pq.write_table(table, partial, compression="zstd"))


def verdict_column(path: Path, name: str) -> list[Any]:
    """One column of a file of verdicts."""
    return pq.read_table(path, columns=[name])[name].to_pylist()


def verdict_batches(path: Path, columns: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Some columns of a file of verdicts, a few hundred rows at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, columns=list(columns)):
            yield batch.to_pylist()


def read_verdicts(path: Path) -> list[dict[str, Any]]:
    """Read verdict rows.

    Raises:
        ResultsError: if the file is missing or damaged.
    """
    try:
        return pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise ResultsError(f"can't read the verdicts in {path} ({error}); run its evaluation again") from error
