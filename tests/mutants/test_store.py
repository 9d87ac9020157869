"""Tables on disk: what comes back is what was put in, and nothing that was made by something else."""

import os
from pathlib import Path

import pytest
import torch

from mrcert_pl.errors import ResultsError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants import PredictionTable, TableStore, newest_store, stored_header
from mrcert_pl.mutants.table import rounded_down

MASKS = (0b0011, 0b0110, 0b1100)
LATTICES = [UnionLattice(MASKS, windows=5, order=order) for order in range(4)]
HEADER = {"weights_sha256": "ab", "mutants": LATTICES[0].identity()}


def images(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers).view(-1, 1, 1, 1) / 100 + torch.zeros(1, 3, 2, 2)


def random_table(lattice: UnionLattice, count: int) -> PredictionTable:
    return PredictionTable(
        lattice, torch.randint(5, (count, len(lattice))), rounded_down(torch.rand(count, len(lattice)))
    )


def keep(store: TableStore, table: PredictionTable, *ids: int) -> None:
    store.add(table, ids, [f"{key}.png" for key in ids], [key % 3 for key in ids], images(*ids))


def assert_same(one: PredictionTable, other: PredictionTable) -> None:
    assert one.labels.tolist() == other.labels.tolist()
    assert torch.equal(one.margins.nan_to_num(-1), other.margins.nan_to_num(-1))


def test_what_comes_back_is_what_was_put_in(tmp_path: Path) -> None:
    table = random_table(LATTICES[2], 3)
    table.labels[1, 4:], table.margins[1, 4:] = -1, torch.nan
    store = TableStore(tmp_path / "new", HEADER)
    keep(store, table, 7, 3, 5)
    store.flush()
    for opened in (store, TableStore(tmp_path / "new", HEADER)):
        assert opened.ids() == [3, 5, 7]
        assert_same(opened.table(LATTICES[2], [7, 3, 5], images(7, 3, 5)), table)
        ((facts, stored),) = opened.batches(LATTICES[2])
        assert facts == {"id": [3, 5, 7], "path": ["3.png", "5.png", "7.png"], "label": [0, 2, 1]}
        assert stored.labels.tolist() == table.labels[[1, 2, 0]].tolist()
        assert [facts["id"] for facts, _ in opened.batches(LATTICES[2], only={5, 3, 8}, size=1)] == [[3], [5]]
    assert stored_header(tmp_path / "new") == HEADER
    assert not opened.table(LATTICES[2], [8], images(8)).evaluated.any()


@pytest.mark.parametrize(("stored", "asked"), [(1, 3), (3, 1), (2, 2), (0, 2)])
def test_the_mutants_of_lower_orders_serve_every_order(tmp_path: Path, stored: int, asked: int) -> None:
    table, store = random_table(LATTICES[stored], 1), TableStore(tmp_path, HEADER)
    keep(store, table, 1)
    store.flush()
    found, shared = store.table(LATTICES[asked], [1], images(1)), LATTICES[min(stored, asked)]
    assert found.labels[0, : len(shared)].tolist() == table.labels[0, : len(shared)].tolist()
    assert found.evaluated.sum() == len(shared)
    for union in range(len(shared)):
        assert LATTICES[stored].unions[union] == LATTICES[asked].unions[union]


def test_a_fuller_table_takes_the_place_of_an_earlier_one_and_an_emptier_does_not(tmp_path: Path) -> None:
    small, large = random_table(LATTICES[1], 1), random_table(LATTICES[3], 1)
    for table in (small, large, small):
        store = TableStore(tmp_path, HEADER)
        keep(store, table, 1)
        store.flush()
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    for opened in (store, TableStore(tmp_path, HEADER)):
        assert_same(opened.table(LATTICES[3], [1], images(1)), large)


@pytest.mark.parametrize("lazily", [[0, 1, 4, 5, 6], [0, 1, 6]])
def test_labels_of_lower_orders_are_added_to_those_of_a_lazy_evaluation(tmp_path: Path, lazily: list[int]) -> None:
    """Whether or not they are more: the verdicts of both evaluations can be made again."""
    every, store = random_table(LATTICES[3], 1), TableStore(tmp_path, HEADER)
    part = PredictionTable.empty(LATTICES[3], 1)
    part.labels[:, lazily], part.margins[:, lazily] = every.labels[:, lazily].int(), every.margins[:, lazily]
    keep(store, part, 1)
    store.flush()
    low = store.table(LATTICES[1], [1], images(1))
    low.labels[:], low.margins[:] = every.labels[:, : len(LATTICES[1])], every.margins[:, : len(LATTICES[1])]
    keep(store, low, 1)
    store.flush()
    columns = sorted({*range(len(LATTICES[1])), *lazily})
    part.labels[:, columns], part.margins[:, columns] = every.labels[:, columns].int(), every.margins[:, columns]
    for opened in (store, TableStore(tmp_path, HEADER)):
        assert_same(opened.table(LATTICES[3], [1], images(1)), part)


def test_what_has_been_added_is_on_disk_in_time_without_an_end(tmp_path: Path) -> None:
    store = TableStore(tmp_path, HEADER, seconds=0.0)
    keep(store, random_table(LATTICES[1], 1), 1)
    lazy = TableStore(tmp_path, HEADER, seconds=1000.0)
    keep(lazy, random_table(LATTICES[1], 1), 2)
    assert TableStore(tmp_path, HEADER).ids() == [1]


def test_processes_write_beside_each_other(tmp_path: Path) -> None:
    stores = [TableStore(tmp_path, HEADER) for _ in range(3)]
    for number, store in enumerate(stores):
        keep(store, random_table(LATTICES[1], 1), number)
        store.flush()
    assert TableStore(tmp_path, HEADER).ids() == [0, 1, 2]


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_no_shard_is_overwritten_after_a_damaged_one_was_removed(tmp_path: Path, removed: int) -> None:
    store = TableStore(tmp_path, HEADER)
    for key in range(3):
        keep(store, random_table(LATTICES[1], 1), key)
        store.flush()
    sorted(tmp_path.glob("*.parquet"))[removed].unlink()
    store, newer = TableStore(tmp_path, HEADER), random_table(LATTICES[2], 1)
    keep(store, newer, 0)
    store.flush()
    opened = TableStore(tmp_path, HEADER)
    assert opened.ids() == sorted({0, 1, 2} - {removed} | {0})
    assert_same(opened.table(LATTICES[2], [0], images(0)), newer)


def test_two_runs_at_once_do_not_overwrite_each_other(tmp_path: Path) -> None:
    stores = [TableStore(tmp_path, HEADER) for _ in range(2)]
    for key, store in enumerate(stores):
        keep(store, random_table(LATTICES[1], 1), key)
        store.flush()
    assert TableStore(tmp_path, HEADER).ids() == [0, 1]
    assert stores[0].table(LATTICES[1], [0], images(0)).evaluated.all()


def test_tables_of_something_else_are_refused(tmp_path: Path) -> None:
    store = TableStore(tmp_path, HEADER)
    keep(store, random_table(LATTICES[1], 1), 1)
    store.flush()
    with pytest.raises(ResultsError, match="weights_sha256: ab in the store, cd here"):
        TableStore(tmp_path, HEADER | {"weights_sha256": "cd"})
    with pytest.raises(ResultsError, match=r"mutants\.masks: .* in the store, .* here"):
        TableStore(tmp_path, HEADER | {"mutants": UnionLattice(MASKS[:2], 5, 1).identity()})
    with pytest.raises(ResultsError, match=r"image 1 \(1.png\) with other pixels"):
        store.table(LATTICES[1], [1], images(2))


def test_a_store_gives_and_takes_no_tables_of_other_mutants(tmp_path: Path) -> None:
    store, other = TableStore(tmp_path, HEADER), UnionLattice(MASKS[::-1], windows=5, order=2)
    keep(store, random_table(LATTICES[2], 1), 1)
    store.flush()
    for use in (
        lambda: store.table(other, [1], images(1)),
        lambda: list(store.batches(other)),
        lambda: keep(store, random_table(other, 1), 2),
    ):
        with pytest.raises(ResultsError, match=r"have other mutants:\n  masks: .*'3'.* in the store, .*'c'.* here"):
            use()


def test_the_interval_between_writes_grows_with_their_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, writes = [0.0], []
    monkeypatch.setattr("mrcert_pl.mutants.store.time.monotonic", lambda: clock[0])

    def slow(*_: object) -> None:
        clock[0] += 0.5
        writes.append(clock[0])

    monkeypatch.setattr("mrcert_pl.mutants.store.write_shard", slow)
    monkeypatch.setattr(TableStore, "_row", lambda store, _: store._rows[-1])
    store = TableStore(tmp_path, HEADER, seconds=2.0)
    for number in range(10_000):
        clock[0] += 1.0
        keep(store, random_table(LATTICES[1], 1), number)
    assert writes[0] == 2.5
    assert 0.5 * len(writes) <= 0.02 * clock[0]
    assert len(writes) >= 0.9 * 10_000 / (0.5 * 50)


def test_the_fuller_of_two_tables_counts_whichever_is_written_last(tmp_path: Path) -> None:
    full, part = random_table(LATTICES[1], 1), random_table(LATTICES[1], 1)
    part.labels[0, 2:], part.margins[0, 2:] = -1, torch.nan
    first, second = TableStore(tmp_path, HEADER), TableStore(tmp_path, HEADER)
    keep(first, full, 1)
    keep(second, part, 1)
    first.flush()
    second._number = 5
    second.flush()
    assert_same(TableStore(tmp_path, HEADER).table(LATTICES[1], [1], images(1)), full)


def test_the_newest_store_has_a_complete_file(tmp_path: Path) -> None:
    assert newest_store(tmp_path / "none") is None
    for number, name in enumerate(("old", "new", "dead", "empty")):
        folder = tmp_path / name / "mutants"
        folder.mkdir(parents=True)
        if name in ("old", "new"):
            (folder / "000000_a.parquet").write_text("")
            os.utime(folder / "000000_a.parquet", (number, number))
        elif name == "dead":
            (folder / ".000000_a.parquet.host-1-ab.partial").write_text("")
    (tmp_path / "new" / "attacked").mkdir()
    assert newest_store(tmp_path) == tmp_path / "new" / "mutants"
    assert newest_store(tmp_path, "attacked") is None


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    table = random_table(LATTICES[1], 1)
    table.labels[0, 0] = 1 << 16
    with pytest.raises(ResultsError, match="a store holds labels up to 32767, got 65536"):
        keep(TableStore(tmp_path, HEADER), table, 1)


def test_a_folder_without_tables(tmp_path: Path) -> None:
    assert TableStore(tmp_path / "none", HEADER).ids() == []
    with pytest.raises(ResultsError, match="there are no tables"):
        stored_header(tmp_path / "none")
