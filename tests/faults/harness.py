"""Faults on purpose: processes that are killed, limited disks, concurrent writers.

``python tests/faults/harness.py --kills 200`` runs the long version and prints the figures of docs/reliability.md.
The writers are forked, so that a kill costs milliseconds and hits them inside a write.
"""

import argparse
import json
import os
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from mrcert_pl.files import write_json
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants import PredictionTable, TableStore
from mrcert_pl.mutants.shards import read_shard, write_shard

LATTICE = UnionLattice((0b0011, 0b0110, 0b1100), windows=5, order=3)
HEADER = {"weights_sha256": "ab", "mutants": LATTICE.identity()}


def pixels(image_id: int) -> torch.Tensor:
    return torch.full((1, 1, 2, 2), float(image_id))


def table_of(image_id: int) -> PredictionTable[UnionLattice]:
    """The table of an image, which follows from its id."""
    draws = np.random.default_rng(image_id)
    labels = torch.from_numpy(draws.integers(5, size=(1, len(LATTICE))))
    margins = torch.from_numpy(draws.random((1, len(LATTICE))).astype(np.float16)).float()
    return PredictionTable(LATTICE, labels, margins)


def add(store: TableStore, image_id: int) -> None:
    """Add the table of an image and write it at once."""
    store.add(table_of(image_id), [image_id], [f"{image_id}.png"], [image_id % 5], pixels(image_id))
    store.flush()


def check_store(folder: Path, expected: set[int]) -> set[int]:
    """Check that the expected images and no wrong table are in a store; return all of its images."""
    store = TableStore(folder, HEADER)
    stored = set(store.ids())
    assert expected <= stored, f"lost: {sorted(expected - stored)}"
    for image_id in stored:
        found = store.table(LATTICE, [image_id], pixels(image_id))
        assert found.labels.tolist() == table_of(image_id).labels.tolist(), f"wrong table of image {image_id}"
    return stored


@contextmanager
def forked(work: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """Run ``work(pipe)`` in a child; yield its process id and the end of the pipe to read what it has finished."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            work(write)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    try:
        yield child, read
    finally:
        os.close(read)


def kill_at_random(work: Callable[[int], None], draws: random.Random, longest: float) -> list[int]:
    """Kill a worker at a random moment with SIGKILL; return the numbers that it has reported as finished."""
    with forked(work) as (child, read):
        time.sleep(draws.random() * longest)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        reported = b""
        while part := os.read(read, 1 << 16):
            reported += part
    return [int(line) for line in reported.decode().split("\n")[:-1]]


def kill_store_writers(folder: Path, kills: int, draws: random.Random, longest: float = 0.3) -> dict[str, int]:
    """Kill writers of one store, each of which goes on where the one before stopped."""
    finished: set[int] = set()

    def work(pipe: int) -> None:
        store = TableStore(folder, HEADER)
        image_id = max(store.ids(), default=-1)
        while True:
            image_id += 1
            add(store, image_id)
            os.write(pipe, f"{image_id}\n".encode())

    for _ in range(kills):
        reported = kill_at_random(work, draws, longest)
        assert not finished & set(reported), "an image was evaluated twice"
        finished |= set(reported)
    stored = check_store(folder, finished)
    # At most the image that a worker had written and not reported yet.
    assert len(stored - finished) <= kills
    rows = [row.id for shard in folder.glob("*.parquet") for row in read_shard(shard)[1]]
    assert len(rows) == len(set(rows)), "an image is stored twice"
    return {"kills": kills, "images finished": len(finished), "lost": 0, "partial": len(list(folder.glob(".*")))}


def kill_file_writers(folder: Path, kills: int, draws: random.Random, longest: float = 0.3) -> dict[str, int]:
    """Kill writers that replace one file over and over."""
    path, newest = folder / "results.json", -1

    def work(pipe: int) -> None:
        number = newest
        while True:
            number += 1
            write_json(path, {"number": number, "payload": [number] * 2_000})
            os.write(pipe, f"{number}\n".encode())

    for _ in range(kills):
        newest = max([newest, *kill_at_random(work, draws, longest)])
        if path.exists():
            content = json.loads(path.read_text())
            assert content["payload"] == [content["number"]] * 2_000
            assert content["number"] >= newest
            newest = content["number"]
    return {"kills": kills, "versions": newest + 1, "incomplete": 0}


def concurrent_writers(folder: Path, writers: int, images: int) -> dict[str, int]:
    """Let processes write to one store at once, some images each and some of them all."""

    def work(writer: int) -> Callable[[int], None]:
        def write(_: int) -> None:
            store = TableStore(folder, HEADER)
            for image_id in range(images):
                if image_id % writers == writer or image_id % 5 == 0:
                    add(store, image_id)

        return write

    children = []
    for writer in range(writers):
        with forked(work(writer)) as (child, _):
            children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    stored = check_store(folder, set(range(images)))
    assert len(stored) == images
    expected = sum((image_id % 5 == 0 and writers) or 1 for image_id in range(images))
    shards = len(list(folder.glob("*.parquet")))
    # A late writer may find images that another one has written already.
    assert images <= shards <= expected, "a shard was overwritten"
    return {"writers": writers, "images": images, "shards": shards, "overwritten": 0}


def in_child(work: Callable[[], object]) -> str:
    """Run something in a child, for limits and rights that can't be given back; return what it returned as text."""

    def report(pipe: int) -> None:
        os.write(pipe, str(work()).encode())

    with forked(report) as (child, read):
        text = b""
        while part := os.read(read, 1 << 16):
            text += part
        assert os.waitpid(child, 0)[1] == 0
    return text.decode()


def limit_file_size(size: int) -> None:
    """Make writes beyond a size fail, like those on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def flip_every_bit(folder: Path) -> dict[str, int]:
    """Flip each bit of a small shard; each flip must be refused or change nothing."""
    from mrcert_pl.errors import ResultsError
    from mrcert_pl.mutants.shards import FORMAT, Row

    table, shard = table_of(3), folder / "flips.parquet"
    labels, margins = table.labels[0].numpy().astype(np.int16), table.margins[0].half().numpy()  # type: ignore[index]
    log_odds = margins.astype(np.float32)
    rows = [Row(i, f"{i}.png", 1, "0" * 32, labels, margins, log_odds) for i in range(2)]
    write_shard(shard, {"format": FORMAT, **HEADER}, rows)
    original, refused = shard.read_bytes(), 0

    def content() -> object:
        header, rows = read_shard(shard)
        numbers = [(r.labels.tobytes(), r.margins.tobytes(), r.log_odds.tobytes()) for r in rows]
        return header, [(r.id, r.path, r.label, r.image) for r in rows], numbers

    expected = content()
    for bit in range(8 * len(original)):
        damaged = bytearray(original)
        damaged[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(damaged)
        try:
            assert content() == expected, f"bit {bit} changed what is read"
        except ResultsError:
            refused += 1
    return {"bits": 8 * len(original), "refused": refused, "without effect": 8 * len(original) - refused, "silent": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flips", action="store_true", help="flip every bit of a shard as well (minutes)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    draws = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("store writers killed:", kill_store_writers(folder / "store", options.kills, draws))
        print("file writers killed:", kill_file_writers(folder / "file", options.kills, draws))
        print("concurrent writers:", concurrent_writers(folder / "both", 4, 100))
        if options.flips:
            print("bit flips:", flip_every_bit(folder))


if __name__ == "__main__":
    main()
