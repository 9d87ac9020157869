"""Verdict rows come back as they were written; damaged files are refused."""

import contextlib
import errno
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from result_files import row

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import VerdictWriter, merge_verdicts, read_verdicts, write_verdicts
from mrcert_pl.results.verdicts import SCHEMA

ROW = row(3, prediction=2, base_prediction=1, case=4, mutants_evaluated=439)


def test_verdict_rows_come_back(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, id=4, certified_patches=2, safe_masks=(True, False), certified_fraction=0.5, gflops=1.5)]
    file = write_verdicts(tmp_path / "verdicts.parquet", rows)
    assert read_verdicts(file) == rows
    assert read_verdicts(write_verdicts(file, [])) == []


def test_verdicts_of_several_processes_become_one_file(tmp_path: Path) -> None:
    parts = [tmp_path / f"{rank}.parquet" for rank in range(3)]
    for rank, part in enumerate(parts):
        with VerdictWriter(part) as writer:
            for batch in range(5000 if rank else 0, 0, -2):
                writer.add([replace(ROW, id=2 * number + rank - 1) for number in (batch, batch - 1)])
    assert pq.ParquetFile(parts[1]).num_row_groups > 1
    with pytest.raises(
        ResultsError, match=r"elsewhere\.parquet; paths.output_dir must be a folder that all machines see"
    ):
        merge_verdicts([*parts, tmp_path / "elsewhere.parquet"], tmp_path / "verdicts.parquet")
    rows = merge_verdicts(parts, tmp_path / "verdicts.parquet")
    assert [row.id for row in rows] == list(range(2, 10002))
    assert list(tmp_path.iterdir()) == [tmp_path / "verdicts.parquet"]
    assert read_verdicts(tmp_path / "verdicts.parquet") == rows


def test_damaged_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.parquet"
    with pytest.raises(ResultsError, match="can't read the verdicts"):
        read_verdicts(file)
    file.write_bytes(b"PAR1 nothing")
    with pytest.raises(ResultsError, match="can't read the verdicts"):
        read_verdicts(file)


def test_a_file_with_a_changed_byte_is_read_or_refused(tmp_path: Path) -> None:
    file = write_verdicts(tmp_path / "verdicts.parquet", [ROW])
    content = file.read_bytes()
    for place in range(0, len(content), 97):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with contextlib.suppress(ResultsError):
            read_verdicts(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [-1, 1]}, r"row \[0\]\.label: must be greater than or equal to 0, got -1"),
        ({"case": [0, 1]}, "case: must be greater than or equal to 1, got 0"),
        ({"certified_fraction": [1.5, None]}, "certified_fraction: must be less than or equal to 1, got 1.5"),
        ({"gflops": [float("nan"), None]}, "gflops: must be a finite number"),
        ({"certified": [None, True]}, "certified: must be a valid boolean, got None"),
        ({"path": [None, "x"]}, "path: must be a valid string, got None"),
        ({"id": [3, 3]}, "id: an image is repeated"),
        ({"safe_masks": [[True, None], None]}, r"safe_masks\[1\]: must be a valid boolean, got None"),
    ],
)
def test_other_values_are_refused_by_name(tmp_path: Path, change: dict, message: str) -> None:
    file = write_verdicts(tmp_path / "verdicts.parquet", [ROW, replace(ROW, id=4)])
    table = pq.read_table(file)
    for name, values in change.items():
        table = table.set_column(
            SCHEMA.names.index(name), SCHEMA.field(name), pa.array(values, SCHEMA.field(name).type)
        )
    pq.write_table(table, file)
    with pytest.raises(ResultsError, match=message):
        read_verdicts(file)


def test_columns_of_later_versions_may_be_absent(tmp_path: Path) -> None:
    known = replace(ROW, alert=-1, detects=1, limit_reached=True)
    file = write_verdicts(tmp_path / "verdicts.parquet", [known])
    assert read_verdicts(file) == [known]
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["limit_reached"]), file)
    assert read_verdicts(file) == [replace(known, limit_reached=None)]
    pq.write_table(table.drop_columns(["limit_reached", "alert", "detects"]), file)
    assert read_verdicts(file) == [replace(known, limit_reached=None, alert=None, detects=None)]
    pq.write_table(table.drop_columns(["alert"]), file)
    with pytest.raises(ResultsError, match="columns: missing or unknown: alert"):
        read_verdicts(file)


def test_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    file = write_verdicts(tmp_path / "verdicts.parquet", [ROW])
    table = pq.read_table(file)
    for other, message in (
        (table.drop_columns(["witness"]), "columns: missing or unknown: witness"),
        (table.append_column("extra", pa.array([1])), "columns: missing or unknown: extra"),
        (table.append_column("id", pa.array([1])), "columns"),
        (table.set_column(0, "id", pa.array([1.0])), r"\[0\]\.id: must be a valid integer, got 1.0"),
    ):
        pq.write_table(other, file)
        with pytest.raises(ResultsError, match=rf"can't read the verdicts in .*{message}|Duplicate|multiple"):
            read_verdicts(file)


def _full(writer: pq.ParquetWriter, *_: object) -> None:
    # Or its destructor would try again.
    writer.is_open = False
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("method", ["write_table", "close"])
def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    path = tmp_path / "verdicts.parquet"

    def write() -> None:
        with VerdictWriter(path) as writer:
            writer.add([row(0)])
            monkeypatch.setattr(pq.ParquetWriter, method, _full)

    with pytest.raises(ResultsError, match=f"can't write {path}: No space left on device; choose another paths"):
        write()
    monkeypatch.undo()


def test_an_error_inside_is_not_hidden_by_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        with VerdictWriter(tmp_path / "verdicts.parquet") as writer:
            writer.add([row(0)])
            monkeypatch.setattr(pq.ParquetWriter, "write_table", _full)
            raise ResultsError("can't write the shard")

    with pytest.raises(ResultsError, match="can't write the shard"):
        write()
    monkeypatch.undo()
