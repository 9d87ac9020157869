"""``verdicts.parquet``: one row per image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole

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
    ]
)


def write_verdicts(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write verdict rows as Parquet; a field that a defender doesn't give (``level``) is null."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    return write_whole(path, lambda partial: pq.write_table(table, partial, compression="zstd"))


def read_verdicts(path: Path) -> list[dict[str, Any]]:
    """Read verdict rows.

    Raises:
        ResultsError: if the file is missing or damaged.
    """
    try:
        return pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise ResultsError(f"can't read the verdicts in {path}: {error}") from error
