"""Tables of mutants as they lie on disk, read without the store that wrote them."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrcert_pl.errors import ResultsError

_IMAGES = 16


@dataclass
class Tables:
    """The tables of some images.

    Attributes:
        ids: of the images.
        labels: ``[image, mutant]``, -1 where nobody asked.
        margins: ``[image, mutant]``.
    """

    ids: list[int]
    labels: np.ndarray
    margins: np.ndarray


def header(folder: Path) -> dict[str, Any]:
    """What the tables in a folder were made by.

    Raises:
        ResultsError: if there are none.
    """
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise ResultsError(
            f"there are no tables of mutants in {folder}, so there is nothing to verify the verdicts by; "
            "name the store= of the evaluation with --tables"
        )
    return _header(shards[0])


def tables(folder: Path, wanted: Collection[int], mutants: int) -> Iterator[Tables]:
    """The last table of every wanted image, a few at a time, with the first ``mutants`` columns.

    Raises:
        ResultsError: if a shard is damaged, differs from the others in what made it, or has shorter tables.
    """
    shards, expected = sorted(folder.glob("*.parquet")), header(folder)
    last: dict[int, int] = {}
    for number, shard in enumerate(shards):
        if _header(shard) != expected:
            raise ResultsError(
                f"{shard} was made by something else than {shards[0]}; keep the tables of one evaluation in it"
            )
        last |= dict.fromkeys(_read(shard, ["id"])["id"].to_pylist(), number)
    for number, shard in enumerate(shards):
        ids = [key for key in wanted if last.get(key) == number]
        if not ids:
            continue
        rows = {row["id"]: row for row in _read(shard, ["id", "labels", "margins"]).to_pylist()}
        for start in range(0, len(ids), _IMAGES):
            part = ids[start : start + _IMAGES]
            lists = [[rows[key][name] for key in part] for name in ("labels", "margins")]
            if short := [key for key, row in zip(part, lists[0], strict=True) if len(row) < mutants]:
                raise ResultsError(f"{shard} has tables of fewer than {mutants} mutants, of the images {short}")
            labels, margins = (np.array([row[:mutants] for row in part]) for part in lists)
            yield Tables(part, labels.astype(np.int64), margins.astype(np.float64))


def _header(shard: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((pq.read_schema(shard).metadata or {})[b"mrcert"]))
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise ResultsError(
            f"{shard} is damaged or holds no tables of mutants ({error}); run its evaluation again"
        ) from error


def _read(shard: Path, columns: list[str]) -> pa.Table:
    try:
        return pq.read_table(shard, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise ResultsError(f"{shard} is damaged ({error}); run its evaluation again") from error
