"""The files of a table store: Parquet with page checksums, a digest of every row and a digest of the header."""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole
from mrcert_pl.mutants.table import NOT_EVALUATED

FORMAT = 4
# Format 3 has no confidences.
FORMATS = (3, FORMAT)
# Labels are stored as int16.
MOST_CLASSES = 1 << 15
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("labels", pa.list_(pa.field("element", pa.int16(), nullable=False)), nullable=False),
        pa.field("margins", pa.list_(pa.field("element", pa.float16(), nullable=False)), nullable=False),
        pa.field("log_odds", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False),
        pa.field("digest", pa.binary(16), nullable=False),
    ]
)
_SCHEMA_3 = SCHEMA.remove(SCHEMA.get_field_index("log_odds"))
_HEADER, _ROWS, _DIGEST = b"mrcert", b"mrcert_rows", b"mrcert_digest"
_TYPES: Mapping[str, type] = {"weights_sha256": str, "dataset": str, "precision": str, "model": dict, "mutants": dict}
# What pyarrow raises for damaged files, beside its own exceptions, depends on the damaged byte.
_DAMAGE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError)


@dataclass(frozen=True, eq=False)
class Row:
    """The stored table of one image.

    Attributes:
        id: Image id.
        path: Name of the image.
        label: True label.
        image: Digest of the pixels.
        labels: int16 ``[mutant]``, -1 where nothing was evaluated.
        margins: float16 ``[mutant]``, NaN where nothing was evaluated.
        log_odds: float32 ``[mutant]``, log-odds of the confidence; NaN where unknown (format 3) or not evaluated.
    """

    id: int
    path: str
    label: int
    image: str
    labels: np.ndarray
    margins: np.ndarray
    log_odds: np.ndarray

    @property
    def evaluated(self) -> int:
        """Number of entries that hold a label."""
        return int((self.labels != NOT_EVALUATED).sum())

    def digest(self, header: bytes, form: int = FORMAT) -> bytes:
        """Digest of all values of a format, keyed by the digest of the shard's header."""
        path, image = self.path.encode("utf-8", "surrogatepass"), self.image.encode("utf-8", "surrogatepass")
        sizes = struct.pack("<qiqqqq", self.id, self.label, len(path), len(image), len(self.labels), len(self.margins))
        digest = hashlib.blake2b(sizes, digest_size=16, key=header)
        for part in (path, image, self.labels.astype("<i2").tobytes(), self.margins.astype("<f2").tobytes()):
            digest.update(part)
        if form != 3:
            digest.update(self.log_odds.astype("<f4").tobytes())
        return digest.digest()


def write_shard(path: Path, header: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the tables of some images; an existing file is never replaced.

    Raises:
        ResultsError: if the file can't be written.
    """
    text = json.dumps(header)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names[:-1]}
    columns["digest"] = [row.digest(_key(text)) for row in rows]
    metadata = {_HEADER: text, _ROWS: str(len(rows)), _DIGEST: _header_digest(text, len(rows))}
    content = pa.Table.from_pydict(columns, schema=SCHEMA.with_metadata(metadata))

    def write(partial: Path) -> None:
        pq.write_table(content, partial, compression="zstd", write_page_checksum=True)

    write_whole(path, write, "store or paths.output_dir", replace=False)


def read_header(shard: Path) -> dict[str, Any]:
    """Read what made the tables of a shard, as plain values of checked types.

    Raises:
        ResultsError: if the shard is damaged, holds no tables or has another format.
    """
    try:
        with pq.ParquetFile(shard, page_checksum_verification=True) as file:
            return _checked_header(file.schema_arrow.metadata or {}, file.metadata.num_rows, shard)
    except _DAMAGE as error:
        raise _damaged(shard, error) from error


def read_shard(shard: Path) -> tuple[dict[str, Any], list[Row]]:
    """Read the header and all rows of a shard; every checksum, digest and range of values is checked.

    Raises:
        ResultsError: if the shard is damaged, holds no tables or has another format.
    """
    try:
        with pq.ParquetFile(shard, page_checksum_verification=True) as file:
            header = _checked_header(file.schema_arrow.metadata or {}, file.metadata.num_rows, shard)
            content = file.read()
            if content.num_rows != file.metadata.num_rows:
                raise ValueError(f"{file.metadata.num_rows - content.num_rows} of its rows can't be read")
            text = file.schema_arrow.metadata[_HEADER].decode()
        return header, _checked_rows(content, header, _key(text))
    except _DAMAGE as error:
        raise _damaged(shard, error) from error


def _checked_header(metadata: Mapping[bytes, bytes], rows: int, shard: Path) -> dict[str, Any]:
    if _HEADER not in metadata:
        raise ValueError("it has no header of mutants")
    text = metadata[_HEADER].decode()
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    # Older formats have no digest of the header.
    if header.get("format") not in FORMATS and _DIGEST not in metadata:
        raise ResultsError(
            f"the tables in {shard.parent} were written by another version of mrcert, in format "
            f"{header.get('format')} instead of {FORMAT}; evaluate again, with another folder as store="
        )
    if metadata.get(_ROWS) != str(rows).encode() or metadata.get(_DIGEST) != _header_digest(text, rows).encode():
        raise ValueError("its header does not agree with the digest of the header")
    if header.get("format") not in FORMATS:
        raise ValueError(f"its format is {header.get('format')!r} instead of {FORMAT}")
    for name, kind in _TYPES.items():
        if name in header and not isinstance(header[name], kind):
            raise ValueError(f"{name} of its header is not a {kind.__name__}")
    model = header.get("model", {"model": "", "config": {}})
    if not (isinstance(model.get("model"), str) and isinstance(model.get("config"), dict)):
        raise ValueError("its header names no model and no settings of it")
    return header


def _checked_rows(content: pa.Table, header: Mapping[str, Any], key: bytes) -> list[Row]:
    form = header["format"]
    if not content.schema.equals(SCHEMA if form == FORMAT else _SCHEMA_3):
        raise ValueError("its columns are not those of a table store")
    if any(column.null_count for column in content.columns):
        raise ValueError("a value is missing")
    facts = {name: content[name].to_pylist() for name in ("id", "path", "label", "image", "digest")}
    labels, margins = (_lists(content[name].combine_chunks()) for name in ("labels", "margins"))
    if form == FORMAT:
        log_odds = _lists(content["log_odds"].combine_chunks())
    else:
        log_odds = [np.full(len(part), np.nan, np.float32) for part in labels]
    most = _classes(header)
    rows = []
    for number in range(content.num_rows):
        plain = {name: facts[name][number] for name in ("id", "path", "label", "image")}
        row = Row(**plain, labels=labels[number], margins=margins[number], log_odds=log_odds[number])
        if row.digest(key, form) != facts["digest"][number]:
            raise ValueError(f"row {number} does not agree with its digest")
        _check_ranges(row, most)
        rows.append(row)
    return rows


def _check_ranges(row: Row, classes: int) -> None:
    if not 0 <= row.label < classes:
        raise ValueError(f"the true label of image {row.id} is {row.label}, outside of 0 to {classes - 1}")
    if len(row.labels) != len(row.margins) or not len(row.labels):
        raise ValueError(f"image {row.id} has {len(row.labels)} labels and {len(row.margins)} margins")
    if row.labels.min() < NOT_EVALUATED or row.labels.max() >= classes:
        raise ValueError(f"a label of image {row.id} is outside of -1 to {classes - 1}")
    evaluated = row.labels != NOT_EVALUATED
    if not (row.margins[evaluated] >= 0).all() or not np.isnan(row.margins[~evaluated]).all():
        raise ValueError(f"a margin of image {row.id} is negative, missing or without a label")
    if len(row.log_odds) != len(row.labels) or not np.isnan(row.log_odds[~evaluated]).all():
        raise ValueError(f"a confidence of image {row.id} is without a label")


def _lists(column: pa.ListArray) -> list[np.ndarray]:
    values = column.values
    if values.null_count:
        raise ValueError("a value is missing")
    offsets, flat = column.offsets.to_numpy(), values.to_numpy(zero_copy_only=False)
    return [flat[start:stop] for start, stop in pairwise(offsets)]


def _classes(header: Mapping[str, Any]) -> int:
    """Number of classes of the model, or the largest number that the format holds."""
    classes = header.get("model", {}).get("config", {}).get("num_classes")
    return classes if type(classes) is int and 0 < classes <= MOST_CLASSES else MOST_CLASSES


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _header_digest(text: str, rows: int) -> str:
    return hashlib.blake2b(f"{rows} {text}".encode(), digest_size=16).hexdigest()


def _damaged(shard: Path, error: BaseException) -> ResultsError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return ResultsError(
        f"{shard} is damaged or holds no tables of mutants ({reason}); remove it, and its images are evaluated again"
    )
