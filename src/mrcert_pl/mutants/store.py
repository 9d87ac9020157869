"""Prediction tables on disk, written during an evaluation, so that no label is computed twice."""

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrcert_pl.errors import ResultsError, differences
from mrcert_pl.files import unique_name
from mrcert_pl.mutants.shards import FORMAT, FORMATS, MOST_CLASSES, Row, read_header, read_shard, write_shard
from mrcert_pl.mutants.table import MutantSet, PredictionTable, rounded_down

# A write may cost 2 % of the time since the last one, and its interval grows to 0.1 % of the store's time.
_COST = 50
_GROWTH = 1000
# Shards that are kept in memory: the ids of several processes alternate.
_CACHED = 16


class TableStore:
    """A folder of Parquet shards with the tables of images and a header that identifies model and mutants.

    The tables of one store come from one model, in one precision, over the unions of one set of masks (or one set of
    ablations); what they guarantee does not depend on the device (docs/theory.md, section 6). A table may have the
    mutants of lower orders alone: they come first in every lattice, so that defenders of different orders share a
    store. Of several tables of one image the one with the most entries counts, the last of equal ones.

    Shards have names that no other process uses and are never replaced, so that several processes may write to one
    store. Everything that is read is checked: page checksums, a digest of each row and of the header, ranges.

    Args:
        folder: Folder of the shards.
        header: Plain values that every shard must agree with: ``weights_sha256``, ``precision``, the mutants.
        seconds: Shortest time between two writes. The interval is longer where a write would cost more than 2 % of
            it, and at least 0.1 % of the time since the store was opened.

    Raises:
        ResultsError: if the shards in the folder were made by something else (the differences are named), or if one
            is damaged.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], *, seconds: float = 2.0) -> None:
        self.folder = folder
        self.header = {"format": FORMAT, **json.loads(json.dumps(dict(header)))}
        self._seconds = seconds
        self._rows: list[Row] = []
        self._opened = self._written = time.monotonic()
        self._cost = 0.0
        self._index: dict[int, tuple[Path, int, int]] = {}
        self._cache: dict[Path, list[Row]] = {}
        shards = _shards(folder)
        self._number = 1 + max((int(shard.stem[:6]) for shard in shards if shard.stem[:6].isdecimal()), default=-1)
        for shard in shards:
            header, rows = read_shard(shard)
            self._check(header)
            self._add_to_index(shard, rows)

    def __len__(self) -> int:
        """Number of images whose tables are on disk."""
        return len(self._index)

    def ids(self) -> list[int]:
        """Ids of the images whose tables are on disk, ascending."""
        return sorted(self._index)

    def table(self, mutants: MutantSet, ids: Sequence[int], images: Tensor) -> PredictionTable[Any]:
        """Return the table of a batch with the entries that are on disk; the others are not evaluated.

        Args:
            mutants: Mutants of the columns.
            ids: Ids of the images.
            images: Pixels ``[image, ...]``, compared with those of the stored tables.

        Raises:
            ResultsError: if the store has a table of an image with this id and other pixels, or other mutants.
        """
        self._check_mutants(mutants)
        table = PredictionTable.empty(mutants, len(ids), device=images.device)
        for number, (image_id, digest) in enumerate(zip(ids, image_digests(images), strict=True)):
            if image_id in self._index:
                row = self._row(image_id)
                if row.image != digest:
                    raise ResultsError(
                        f"{self.folder} has a table of image {image_id} ({row.path}) with other pixels: the file or "
                        "its preprocessing has changed; give another folder as store="
                    )
                _fill(table, number, row)
        return table

    def add(
        self,
        table: PredictionTable[Any],
        ids: Sequence[int],
        paths: Sequence[str],
        labels: Sequence[int],
        images: Tensor,
    ) -> None:
        """Add the tables of a batch to those of higher orders on disk; rows without new entries are left out.

        Args:
            table: Tables of the batch.
            ids: Ids of the images.
            paths: Names of the images.
            labels: True labels.
            images: Pixels ``[image, ...]``.

        Raises:
            ResultsError: if the folder can't be written, or the store has other mutants.
        """
        self._check_mutants(table.mutants)
        assert table.margins is not None
        if table.labels.numel() and int(table.labels.max()) >= MOST_CLASSES:
            raise ResultsError(f"a store holds labels up to {MOST_CLASSES - 1}, got {int(table.labels.max())}")
        entries = table.labels.cpu().numpy().astype(np.int16)
        margins = rounded_down(table.margins).half().cpu().numpy()
        unknown = torch.full_like(table.margins, torch.nan)
        log_odds = (unknown if table.log_odds is None else table.log_odds).float().cpu().numpy()
        for number, digest in enumerate(image_digests(images)):
            image_id = int(ids[number])
            stored = self._row(image_id) if image_id in self._index else None
            parts = {"labels": entries[number], "margins": margins[number], "log_odds": log_odds[number]}
            if stored is not None:
                parts = {name: np.append(part, getattr(stored, name)[len(part) :]) for name, part in parts.items()}
            row = Row(image_id, str(paths[number]), int(labels[number]), digest, **parts)
            if row.evaluated > (0 if stored is None else stored.evaluated):
                self._rows.append(row)
        now = time.monotonic()
        if now - self._written >= max(self._seconds, _COST * self._cost, (now - self._opened) / _GROWTH):
            self.flush()

    def flush(self) -> None:
        """Write all tables that are not on disk yet as one shard.

        Raises:
            ResultsError: if the folder can't be written.
        """
        started = time.monotonic()
        if self._rows:
            shard = self.folder / f"{self._number:06d}_{unique_name()}.parquet"
            write_shard(shard, self.header, self._rows)
            self._number += 1
            self._add_to_index(shard, self._rows)
            self._rows = []
        self._written = time.monotonic()
        self._cost = self._written - started

    def batches(
        self, mutants: MutantSet, only: Collection[int] | None = None, size: int = 64
    ) -> Iterator[tuple[dict[str, list[Any]], PredictionTable[Any]]]:
        """Iterate over the stored tables in batches, ascending by id, each with ``id``, ``path`` and ``label``.

        Args:
            mutants: Mutants of the columns.
            only: Ids of the images; those without a table are left out; default: all.
            size: Batch size.

        Raises:
            ResultsError: if the store has other mutants.
        """
        self._check_mutants(mutants)
        ids = [image_id for image_id in self.ids() if only is None or image_id in only]
        for start in range(0, len(ids), size):
            rows = [self._row(image_id) for image_id in ids[start : start + size]]
            table = PredictionTable.empty(mutants, len(rows))
            for number, row in enumerate(rows):
                _fill(table, number, row)
            yield {name: [getattr(row, name) for row in rows] for name in ("id", "path", "label")}, table

    def _check(self, header: Mapping[str, Any]) -> None:
        # Shards of several formats may lie in one store; this version writes the newest.
        same = {"format": FORMAT} if header.get("format") in FORMATS else {}
        if found := differences({**header, **same}, self.header, "in the store"):
            raise ResultsError(
                f"the tables in {self.folder} were made by something else:\n  "
                + "\n  ".join(found)
                + "\ngive the settings that they were made with, or another folder as store="
            )

    def _check_mutants(self, mutants: MutantSet) -> None:
        stored = self.header.get("mutants")
        if stored is None:
            return
        if found := differences(stored, json.loads(json.dumps(mutants.identity())), "in the store"):
            raise ResultsError(f"the tables in {self.folder} have other mutants:\n  " + "\n  ".join(found))

    def _add_to_index(self, shard: Path, rows: Iterable[Row]) -> None:
        for number, row in enumerate(rows):
            if row.id not in self._index or row.evaluated >= self._index[row.id][2]:
                self._index[row.id] = (shard, number, row.evaluated)

    def _row(self, image_id: int) -> Row:
        shard, number, _ = self._index[image_id]
        if shard not in self._cache:
            if len(self._cache) >= _CACHED:
                self._cache.pop(next(iter(self._cache)))
            self._cache[shard] = read_shard(shard)[1]
        return self._cache[shard][number]


def store_header(
    *,
    dataset: str,
    model: Mapping[str, Any],
    weights_sha256: str,
    precision: str,
    mutants: MutantSet,
    borders: Sequence[Sequence[int]] | None = None,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the header of a table store: everything that the labels depend on, and what verification needs.

    Args:
        dataset: Name of the data set in the configuration.
        model: Description of the model.
        weights_sha256: Digest of its weights.
        precision: Precision of the arithmetic.
        mutants: The mutants of the columns.
        borders: Borders of the windows in px along both axes, for models with a grid of windows.
        names: How results call the ``dataset`` and the ``model``.
    """
    header: dict[str, Any] = {
        "dataset": dataset,
        "model": dict(model),
        "weights_sha256": weights_sha256,
        "precision": precision,
        "mutants": mutants.identity(),
    }
    if borders is not None:
        header["borders"] = [[int(px) for px in axis] for axis in borders]
    return header | ({"names": dict(names)} if names else {})


def stored_header(folder: Path) -> dict[str, Any]:
    """Return what the tables of a store were made by, as plain values.

    Raises:
        ResultsError: if there are no tables, or if they are damaged or of another format.
    """
    shards = _shards(folder)
    if not shards:
        raise ResultsError(f"there are no tables in {folder}; an evaluation (mrcert eval store={folder}) makes them")
    return {name: value for name, value in read_header(shards[0]).items() if name != "format"}


def newest_store(runs: Path, name: str = "mutants") -> Path | None:
    """Return the newest folder ``runs/*/name`` that holds a complete file, or ``None``.

    Files that a killed process left unfinished are hidden and don't count.
    """
    files = [file for file in runs.glob(f"*/{name}/*") if file.is_file() and not file.name.startswith(".")]
    return max(files, key=lambda file: file.stat().st_mtime).parent if files else None


def image_digests(images: Tensor) -> list[str]:
    """Digest of the pixels of each image, as the model gets them."""
    return [hashlib.blake2b(image.numpy().tobytes(), digest_size=16).hexdigest() for image in images.cpu()]


def _shards(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.parquet") if not file.name.startswith("."))


def _fill(table: PredictionTable[Any], number: int, row: Row) -> None:
    assert table.margins is not None
    assert table.log_odds is not None
    common = min(table.labels.shape[1], len(row.labels))
    table.labels[number, :common] = torch.from_numpy(row.labels[:common].astype(np.int32)).to(table.labels)
    table.margins[number, :common] = torch.from_numpy(row.margins[:common].astype(np.float32)).to(table.margins)
    table.log_odds[number, :common] = torch.from_numpy(row.log_odds[:common].copy()).to(table.log_odds)
