"""Prediction tables on disk: written while they are made, so that no label is computed twice."""

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from mrcert_pl.errors import ResultsError, differences
from mrcert_pl.files import write_whole
from mrcert_pl.mutants.table import NOT_EVALUATED, MutantSet, PredictionTable, rounded_down

_FORMAT = 2
_HEADER = b"mrcert"
_CHOSEN_BY = "store or paths.output_dir"
_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("path", pa.string()),
        ("label", pa.int32()),
        ("image", pa.string()),
        ("labels", pa.list_(pa.int16())),
        ("margins", pa.list_(pa.float16())),
    ]
)


class TableStore:
    """A folder of Parquet shards, each with the tables of some images and a header that says what made them.

    The tables of one store come from one model, in one precision, over the unions of one set of masks (or one set of
    ablations); what they promise doesn't depend on the device (docs/theory.md, section 6). A table may have the mutants
    of lower orders alone: they come first in every lattice, so that defenders of different orders share a store. Where
    an image has been stored more than once, the last table counts.

    Args:
        folder: where the shards are, or will be.
        header: plain values that every shard must agree with: ``weights_sha256``, ``precision``, the mutants.
        writer: number of the process that writes, in the names of its shards.
        seconds: write what has been added at least this often.

    Raises:
        ResultsError: if the shards that are there were made by something else, naming the differences, or are damaged.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], writer: int = 0, seconds: float = 30.0) -> None:
        self.folder = folder
        self.header = {"format": _FORMAT, **header}
        self._writer = writer
        self._seconds = seconds
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()
        self._places: dict[int, tuple[Path, int]] = {}
        self._open: tuple[Path, pa.Table] | None = None
        for shard in _shards(folder):
            self._check(shard)
            self._index(shard, _read(shard, ["id"])["id"].to_pylist())

    def __len__(self) -> int:
        """Images whose tables are on disk."""
        return len(self._places)

    def ids(self) -> list[int]:
        """Ids of the images whose tables are on disk, ascending."""
        return sorted(self._places)

    def table(self, lattice: MutantSet, ids: Sequence[int], images: Tensor) -> PredictionTable[Any]:
        """The table of a batch, with the entries that are on disk; the others are not evaluated yet.

        Args:
            lattice: the mutants that the columns shall stand for.
            ids: ids of the images.
            images: the images themselves, ``[image, ...]``: labels of other pixels are of no use.

        Raises:
            ResultsError: if an image with this id but other pixels is in the store.
        """
        table = PredictionTable.empty(lattice, len(ids), device=images.device)
        for row, (key, digest) in enumerate(zip(ids, image_digests(images), strict=True)):
            if key in self._places:
                stored = self._row(key)
                if stored["image"] != digest:
                    raise ResultsError(
                        f"{self.folder} has a table of image {key} ({stored['path']}), but with other pixels: the "
                        "file or its preprocessing has changed; give another folder as store="
                    )
                _fill(table, row, stored)
        return table

    def add(
        self,
        table: PredictionTable[Any],
        ids: Sequence[int],
        paths: Sequence[str],
        labels: Sequence[int],
        images: Tensor,
    ) -> None:
        """Keep the tables of a batch, beside what is stored of higher orders; those with nothing new are passed over.

        Args:
            table: the tables of the batch.
            ids: ids of the images.
            paths: their names.
            labels: their true labels.
            images: their pixels.
        """
        assert table.margins is not None
        mutants, margins = len(table.mutants), rounded_down(table.margins).half().cpu().numpy()
        for row, digest in enumerate(image_digests(images)):
            stored = self._row(ids[row]) if ids[row] in self._places else {"labels": [], "margins": []}
            entries = table.labels[row].tolist() + stored["labels"][mutants:]
            if _evaluated(entries) <= _evaluated(stored["labels"]):
                continue
            self._rows.append(
                {
                    "id": ids[row],
                    "path": paths[row],
                    "label": int(labels[row]),
                    "image": digest,
                    "labels": entries,
                    "margins": np.append(margins[row], np.array(stored["margins"][mutants:], margins.dtype)),
                }
            )
        if time.monotonic() - self._written > self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write everything that has been added and not been written yet, as one shard that is whole or not there.

        Raises:
            ResultsError: if the folder can't be written.
        """
        if self._rows:
            shard = self.folder / f"{_next_number(self.folder):06d}_{self._writer:04d}.parquet"
            schema = _SCHEMA.with_metadata({_HEADER: json.dumps(self.header)})
            content = pa.Table.from_pylist(self._rows, schema=schema)
            write_whole(shard, lambda partial: pq.write_table(content, partial, compression="zstd"), _CHOSEN_BY)
            self._index(shard, [row["id"] for row in self._rows])
            self._rows = []
        self._written = time.monotonic()

    def batches(
        self, lattice: MutantSet, only: Collection[int] | None = None, size: int = 64
    ) -> Iterator[tuple[dict[str, list[Any]], PredictionTable[Any]]]:
        """All stored tables in batches of images, ascending by id, each with their ``id``, ``path`` and ``label``.

        Args:
            lattice: the mutants that the columns shall stand for.
            only: ids of the images, of which those without a table are left out; by default all.
            size: images in one batch.
        """
        ids = [key for key in self.ids() if only is None or key in only]
        for start in range(0, len(ids), size):
            rows = [self._row(key) for key in ids[start : start + size]]
            table = PredictionTable.empty(lattice, len(rows))
            for number, row in enumerate(rows):
                _fill(table, number, row)
            yield {name: [row[name] for row in rows] for name in ("id", "path", "label")}, table

    def _check(self, shard: Path) -> None:
        header = _header(shard)
        if header.get("format") != _FORMAT:
            raise ResultsError(
                f"the tables in {self.folder} were written by another version of mrcert, in format "
                f"{header.get('format')} instead of {_FORMAT}; evaluate again, with another folder as store="
            )
        if found := differences(header, self.header, "in the store"):
            raise ResultsError(
                f"the tables in {self.folder} were made by something else:\n  "
                + "\n  ".join(found)
                + "\ngive the settings that they were made with, or another folder as store="
            )

    def _index(self, shard: Path, ids: Iterable[int]) -> None:
        self._places |= {key: (shard, row) for row, key in enumerate(ids)}

    def _row(self, key: int) -> dict[str, Any]:
        shard, row = self._places[key]
        if self._open is None or self._open[0] != shard:
            self._open = (shard, _read(shard))
        return self._open[1].slice(row, 1).to_pylist()[0]


def stored_header(folder: Path) -> dict[str, Any]:
    """What the tables of a store were made by.

    Raises:
        ResultsError: if there are none, or they are damaged.
    """
    shards = _shards(folder)
    if not shards:
        raise ResultsError(f"there are no tables in {folder}; an evaluation (python eval.py store={folder}) makes them")
    return {name: value for name, value in _header(shards[0]).items() if name != "format"}


def image_digests(images: Tensor) -> list[str]:
    """A digest of the pixels of every image, as a model gets them."""
    return [hashlib.blake2b(image.numpy().tobytes(), digest_size=16).hexdigest() for image in images.cpu()]


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _next_number(folder: Path) -> int:
    """One more than that of any shard: one of them may have been removed, or another run may be writing here."""
    return 1 + max((int(shard.stem[:6]) for shard in _shards(folder) if shard.stem[:6].isdecimal()), default=-1)


def _header(shard: Path) -> dict[str, Any]:
    try:
        metadata = pq.read_schema(shard).metadata or {}
        header = json.loads(metadata[_HEADER])
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise ResultsError(f"{shard} is damaged or holds no tables of mutants ({error}); remove it") from error
    return header


def _read(shard: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(shard, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise ResultsError(f"{shard} is damaged ({error}); remove it, and its images are evaluated again") from error


def _fill(table: PredictionTable[Any], row: int, stored: Mapping[str, Any]) -> None:
    assert table.margins is not None
    shared = min(len(table.mutants), len(stored["labels"]))
    table.labels[row, :shared] = torch.tensor(stored["labels"][:shared], dtype=table.labels.dtype)
    table.margins[row, :shared] = torch.tensor(stored["margins"][:shared])


def _evaluated(labels: Sequence[int]) -> int:
    return sum(label != NOT_EVALUATED for label in labels)
