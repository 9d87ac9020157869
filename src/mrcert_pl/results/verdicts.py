"""``verdicts.parquet``: one row per image, written batch by batch and read back with every value checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import cannot_write, write_whole
from mrcert_pl.plain import FieldError, checked
from mrcert_pl.results.schema import VerdictRow

# Rows that are kept in memory before they are written.
_GROUP = 4096
_OPTIONS = {"compression": "zstd", "write_page_checksum": True}

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
        ("alert", pa.int32()),
        ("detects", pa.int32()),
        ("limit_reached", pa.bool_()),
    ]
)
# Columns that earlier versions did not write.
_LATER = ({"alert", "detects"}, {"limit_reached"})


class VerdictWriter:
    """Writes verdict rows batch by batch, so that memory does not grow with the number of images.

    Args:
        path: Parquet file; complete when the context ends.

    Raises:
        ResultsError: If the file can't be written; an error inside the context is raised instead.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[VerdictRow] = []
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "VerdictWriter":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = pq.ParquetWriter(self.path, SCHEMA, **_OPTIONS)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            self._finish()
        except ResultsError:
            # On a full disk the error inside is about the file that was lost.
            if kind is None:
                raise

    def add(self, rows: Sequence[VerdictRow]) -> None:
        """Write some rows."""
        self._rows += rows
        if len(self._rows) >= _GROUP:
            self._flush()

    def _finish(self) -> None:
        assert self._file is not None
        with self._named():
            try:
                self._flush()
            finally:
                self._file.close()

    def _flush(self) -> None:
        assert self._file is not None
        with self._named():
            if self._rows:
                self._file.write_table(_table(self._rows))
        self._rows = []

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self.path, error) from error


def merge_verdicts(parts: Sequence[Path], path: Path) -> list[VerdictRow]:
    """Merge the files of several processes into one, ascending by id, and remove them.

    Returns:
        The rows.

    Raises:
        ResultsError: If a part is missing or damaged.
    """
    if missing := [str(part) for part in parts if not part.is_file()]:
        raise ResultsError(
            f"the verdicts of other processes are missing: {', '.join(missing)}; "
            "paths.output_dir must be a folder that all machines see"
        )
    rows = sorted((row for part in parts for row in read_verdicts(part)), key=lambda row: row.id)
    write_verdicts(path, rows)
    for part in parts:
        part.unlink()
    return rows


def write_verdicts(path: Path, rows: Sequence[VerdictRow]) -> Path:
    """Write verdict rows as Parquet, all at once."""
    table = _table(rows)
    return write_whole(path, lambda partial: pq.write_table(table, partial, **_OPTIONS))


def read_verdicts(path: Path) -> list[VerdictRow]:
    """Read verdict rows.

    Raises:
        ResultsError: If the file is missing or damaged, or a column is missing, unknown, or has a value of another type
            or out of its range.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        absent = [names for names in _LATER if names.isdisjoint(table.column_names)]
        names = [*table.column_names, *set().union(*absent)]
        if sorted(names) != sorted(SCHEMA.names):
            other = sorted(set(names) ^ set(SCHEMA.names)) or ["one is repeated"]
            raise FieldError("columns", f"missing or unknown: {', '.join(other)}")
        rows: list[VerdictRow] = checked(list[VerdictRow], table.to_pylist(), "row ")
        if len({row.id for row in rows}) != len(rows):
            raise FieldError("id", "an image is repeated")
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise ResultsError(f"can't read the verdicts in {path} ({error}); run its evaluation again") from error
    return rows


def _table(rows: Sequence[VerdictRow]) -> pa.Table:
    columns = list(zip(*(tuple(getattr(row, name) for name in SCHEMA.names) for row in rows), strict=True))
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)] if rows else None
    return SCHEMA.empty_table() if arrays is None else pa.Table.from_arrays(arrays, schema=SCHEMA)
