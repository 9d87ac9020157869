"""Shards: damage, forgery and other formats are refused with one sentence."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrcert_pl.errors import ResultsError
from mrcert_pl.mutants import shards
from mrcert_pl.mutants.shards import FORMAT, SCHEMA, Row, read_header, read_shard, write_shard

HEADER: dict[str, Any] = {
    "format": FORMAT,
    "dataset": "digits",
    "weights_sha256": "ab" * 32,
    "model": {"format": 1, "model": "ViTSRF", "config": {"num_classes": 5, "split": 1}},
    "mutants": {"windows": 5, "masks": ["3", "6", "c"]},
    "precision": "32-true",
}


def a_row(number: int, mutants: int = 12, **changes: Any) -> Row:
    draws = np.random.default_rng(number)
    labels = draws.integers(-1, 5, mutants).astype(np.int16)
    margins = np.where(labels < 0, np.nan, draws.random(mutants)).astype(np.float16)
    log_odds = np.where(labels < 0, np.nan, 8 * draws.random(mutants) - 4).astype(np.float32)
    return replace(Row(number, f"{number}.png", number % 5, f"{number:032x}", labels, margins, log_odds), **changes)


ROWS = [a_row(number) for number in range(4)]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "000000_a.parquet"
    write_shard(path, HEADER, ROWS)
    return path


def content(shard: Path) -> Any:
    """Everything that a shard says, in a form that can be compared."""
    header, rows = read_shard(shard)
    numbers = [(row.labels.tobytes(), row.margins.tobytes(), row.log_odds.tobytes()) for row in rows]
    return header, [(row.id, row.path, row.label, row.image) for row in rows], numbers


def same_or_refused(shard: Path, expected: Any) -> bool:
    """Whether a shard is refused; it must say the same otherwise."""
    try:
        found = content(shard)
    except ResultsError:
        return True
    assert found == expected
    return False


def test_what_is_read_is_what_was_written(shard: Path) -> None:
    header, facts, numbers = content(shard)
    assert header == HEADER == read_header(shard)
    assert [fact[0] for fact in facts] == [0, 1, 2, 3]
    assert numbers[2] == (ROWS[2].labels.tobytes(), ROWS[2].margins.tobytes(), ROWS[2].log_odds.tobytes())
    assert [row.evaluated for row in read_shard(shard)[1]] == [int((row.labels >= 0).sum()) for row in ROWS]


def test_a_shard_is_never_replaced(shard: Path) -> None:
    with pytest.raises(ResultsError, match="exists and is not overwritten"):
        write_shard(shard, HEADER, ROWS[:1])
    assert len(read_shard(shard)[1]) == 4


def test_every_flipped_bit_is_found_or_harmless(shard: Path) -> None:
    """A sample of bits; ``tests/faults/faults.py flips`` goes over all of them."""
    expected, original = content(shard), shard.read_bytes()
    draws = np.random.default_rng(0)
    refused = 0
    for bit in draws.choice(8 * len(original), 600, replace=False).tolist():
        damaged = bytearray(original)
        damaged[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(damaged)
        refused += same_or_refused(shard, expected)
        with suppress(ResultsError):
            assert read_header(shard) == HEADER
    assert refused > 200


@pytest.mark.parametrize("length", [0, 1, 4, 100, 1000, -1, -4, -8])
def test_a_truncated_shard_is_refused(shard: Path, length: int) -> None:
    shard.write_bytes(shard.read_bytes()[:length])
    with pytest.raises(ResultsError, match="is damaged or holds no tables of mutants"):
        read_shard(shard)


def rewrite(shard: Path, change: Callable[[dict[str, Any]], Any], metadata: dict[bytes, bytes] | None = None) -> None:
    """Write a shard again as Parquet that is whole, with other rows or other metadata."""
    table = pq.ParquetFile(shard).read()
    rows = table.to_pylist()
    change(rows[1])
    schema = SCHEMA.with_metadata({**table.schema.metadata, **(metadata or {})})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), shard, write_page_checksum=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(id=9),
        lambda row: row.update(path="x"),
        lambda row: row.update(label=3),
        lambda row: row.update(image="0" * 32),
        lambda row: row["labels"].__setitem__(3, 2 if row["labels"][3] != 2 else 1),
        lambda row: row["margins"].__setitem__(3, np.float16(0.25)),
        lambda row: row["log_odds"].__setitem__(3, 0.25),
        lambda row: row.update({name: row[name][:-1] for name in ("labels", "margins", "log_odds")}),
        lambda row: row.update(digest=bytes(16)),
    ],
    ids=["id", "path", "label", "image", "labels", "margins", "log_odds", "length", "digest"],
)
def test_a_changed_value_is_found(shard: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    rewrite(shard, change)
    with pytest.raises(ResultsError, match="row 1 does not agree with its digest"):
        read_shard(shard)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (a_row(1, label=5), "the true label of image 1 is 5, outside of 0 to 4"),
        (a_row(1, label=-1), "the true label of image 1 is -1"),
        (a_row(1, labels=np.array([5] * 12, np.int16)), "a label of image 1 is outside of -1 to 4"),
        (a_row(1, labels=np.array([-2] * 12, np.int16)), "a label of image 1 is outside of -1 to 4"),
        (a_row(1, labels=np.zeros(12, np.int16)), "a margin of image 1 is negative, missing or without a label"),
        (a_row(1, margins=np.zeros(12, np.float16)), "a margin of image 1 is negative, missing or without a label"),
        (a_row(1, margins=-a_row(1).margins), "a margin of image 1 is negative, missing or without a label"),
        (a_row(1, log_odds=np.zeros(12, np.float32)), "a confidence of image 1 is without a label"),
        (a_row(1, margins=np.zeros(11, np.float16)), "image 1 has 12 labels and 11 margins"),
        (a_row(1, mutants=0), "image 1 has 0 labels and 0 margins"),
    ],
)
def test_values_out_of_range_are_refused_whatever_their_digest_says(tmp_path: Path, row: Row, reason: str) -> None:
    write_shard(tmp_path / "a.parquet", HEADER, [row])
    with pytest.raises(ResultsError, match=reason):
        read_shard(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "header",
    [
        {"weights_sha256": 1},
        {"model": "ViTSRF"},
        {"model": {}},
        {"model": {"model": "ViTSRF", "config": 3}},
        {"mutants": [1]},
        {"dataset": None},
        {"precision": 32},
        {"format": 5},
        {"format": "4"},
    ],
    ids=str,
)
def test_headers_of_other_types_are_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    write_shard(tmp_path / "a.parquet", HEADER | header, ROWS)
    for read in (read_header, read_shard):
        with pytest.raises(ResultsError, match="is damaged or holds no tables"):
            read(tmp_path / "a.parquet")


def test_a_changed_header_is_found(shard: Path) -> None:
    forged = json.dumps(HEADER | {"weights_sha256": "cd" * 32}).encode()
    rewrite(shard, lambda row: None, {b"mrcert": forged})
    with pytest.raises(ResultsError, match="its header does not agree with the digest of the header"):
        read_header(shard)
    digest = shards._header_digest(forged.decode(), len(ROWS)).encode()
    rewrite(shard, lambda row: None, {b"mrcert": forged, b"mrcert_digest": digest})
    with pytest.raises(ResultsError, match="row 0 does not agree with its digest"):
        read_shard(shard)


def test_removed_rows_are_found(shard: Path) -> None:
    table = pq.ParquetFile(shard).read()
    pq.write_table(table.slice(0, 3), shard)
    with pytest.raises(ResultsError, match="its header does not agree"):
        read_header(shard)


def test_a_shard_of_format_3_is_read_without_confidences(tmp_path: Path) -> None:
    """Written as versions without confidences did."""
    text = json.dumps(HEADER | {"format": 3})
    schema = SCHEMA.remove(SCHEMA.get_field_index("log_odds"))
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in ROWS] for name in schema.names[:-1]}
    columns["digest"] = [row.digest(shards._key(text), form=3) for row in ROWS]
    metadata = {
        b"mrcert": text,
        b"mrcert_rows": str(len(ROWS)),
        b"mrcert_digest": shards._header_digest(text, len(ROWS)),
    }
    path = tmp_path / "000000_old.parquet"
    old = pa.Table.from_pydict(columns, schema=schema.with_metadata(metadata))
    pq.write_table(old, path, write_page_checksum=True)
    header, rows = read_shard(path)
    assert header["format"] == 3
    assert [row.labels.tolist() for row in rows] == [row.labels.tolist() for row in ROWS]
    assert all(np.isnan(row.log_odds).all() and len(row.log_odds) == len(row.labels) for row in rows)


def test_another_format_is_refused_with_a_sentence(tmp_path: Path) -> None:
    old = pa.schema([("id", pa.int64())]).with_metadata({b"mrcert": json.dumps(HEADER | {"format": 2})})
    pq.write_table(pa.Table.from_pylist([{"id": 1}], schema=old), tmp_path / "000000_0000.parquet")
    for read in (read_header, read_shard):
        with pytest.raises(ResultsError, match="another version of mrcert, in format 2 instead of 4; evaluate again"):
            read(tmp_path / "000000_0000.parquet")


@pytest.mark.parametrize("text", [b"", b"PAR1 this is no Parquet file", b"PAR1" * 100, bytes(1000)])
def test_files_of_another_kind_are_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(text)
    with pytest.raises(ResultsError, match=r"a\.parquet is damaged"):
        read_shard(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "header", [b"[]", b"null", b"{", b"\xff", b"[" * 100_000], ids=["list", "null", "open", "utf", "deep"]
)
def test_headers_that_are_no_objects_are_refused(shard: Path, header: bytes) -> None:
    rewrite(shard, lambda row: None, {b"mrcert": header})
    with pytest.raises(ResultsError, match="is damaged or holds no tables"):
        read_header(shard)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_of_any_kind_are_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shard = tmp_path_factory.mktemp("fuzz") / "a.parquet"
    write_shard(shard, HEADER, ROWS)
    expected, original = content(shard), bytearray(shard.read_bytes())
    start = data.draw(st.integers(0, len(original)))
    stop = data.draw(st.integers(start, min(len(original), start + 64)))
    original[start:stop] = data.draw(st.binary(max_size=64))
    shard.write_bytes(original)
    same_or_refused(shard, expected)


def test_a_row_group_that_states_no_rows_is_found(shard: Path) -> None:
    """A bit of the footer, which has no checksum: its rows would be left out silently."""
    original = shard.read_bytes()
    end, expected = original.index(b"mrcert"), content(shard)
    for bit in range(8 * (end - 60), 8 * end):
        damaged = bytearray(original)
        damaged[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(damaged)
        same_or_refused(shard, expected)
