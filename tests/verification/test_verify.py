"""Verification: honest evaluations agree with their tables; other, damaged and malformed files are refused."""

from pathlib import Path
from typing import Any

import evaluations
import numpy as np
import pytest
from evaluations import evaluation, found, read_rows, rewrite

from mrcert_pl.defenders import names
from mrcert_pl.errors import ResultsError
from mrcert_pl.mutants.shards import read_shard
from mrcert_pl.verification import verify


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("name", names())
def test_honest_evaluations_agree_with_their_tables(tmp_path: Path, name: str, lazily: bool) -> None:
    run = evaluation(tmp_path / "run", name, lazily=lazily)
    images: list[int] = []
    report = verify(run, progress=images.append)
    assert report.differences == ()
    assert (report.images, report.defender, images[-1]) == (12, name, 12)
    assert lazily or report.completed == 0
    truth = {row["id"]: row["label"] for row in read_rows(run / "verdicts.parquet")}
    assert verify(run / "results.json", labels=truth).differences == ()
    assert verify(run, labels=truth.get).differences == ()
    (run / "mutants").rename(tmp_path / "elsewhere")
    assert verify(run, tmp_path / "elsewhere").differences == ()


def test_tables_that_name_neither_data_set_nor_model_contradict_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluations.store_header
    monkeypatch.setattr(evaluations, "store_header", lambda names, **facts: whole(names={}, **facts))
    assert found(evaluation(tmp_path / "run")) == ""


def test_a_changed_bit_of_a_shard_is_found(run: Path) -> None:
    shard = next((run / "mutants").glob("*.parquet"))
    original, draws = shard.read_bytes(), np.random.default_rng(0)
    expected = [(row.id, row.labels.tobytes()) for row in read_shard(shard)[1]]
    silent = 0
    for bit in draws.choice(8 * len(original), 60, replace=False).tolist():
        damaged = bytearray(original)
        damaged[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(damaged)
        if not found(run):
            silent += 1
            assert [(row.id, row.labels.tobytes()) for row in read_shard(shard)[1]] == expected
    assert silent < 30


def test_tables_of_other_evaluations_are_refused(run: Path, tmp_path: Path) -> None:
    (run / "mutants").rename(tmp_path / "tables")
    assert "there are no tables of mutants in elsewhere" in found(run)
    rewrite(run, lambda content: content.update(weights_sha256="cd" * 32))
    assert "are of other weights than the result" in found(run, tables=tmp_path / "tables")
    rewrite(run, lambda content: content.update(table=None))
    assert "names no tables; name them with --tables" in found(run)


def test_defenders_without_a_second_implementation_are_skipped(run: Path) -> None:
    rewrite(run, lambda content: content.update(defender="outside"))
    assert "is of outside, and its settings of mrcert_sharp" in found(run)

    def outside(content: dict[str, Any]) -> None:
        content["defender_settings"]["name"] = content["config"]["defender"]["name"] = "module:outside"

    rewrite(run, outside)
    report = verify(run)
    assert report.images == 0
    assert (
        report.skipped == "outside has no second implementation here; --import MODULE names a module that registers one"
    )


@pytest.mark.parametrize("file", ["results.json", "verdicts.parquet", "locations.npz"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"PK\x03\x04", b"PAR1PAR1", b"[" * 100_000], ids=repr)
def test_malformed_files_are_one_sentence(run: Path, file: str, content: bytes) -> None:
    (run / file).write_bytes(content)
    with pytest.raises(ResultsError, match=file):
        verify(run)
