"""Faults on purpose, in seconds; ``harness.py`` has the long version."""

import errno
import os
import random
import sys
from pathlib import Path

import pytest
from harness import (
    HEADER,
    add,
    check_store,
    concurrent_writers,
    in_child,
    kill_file_writers,
    kill_store_writers,
    limit_file_size,
)

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_json
from mrcert_pl.mutants import TableStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


def test_killed_store_writers_lose_nothing_that_was_finished(tmp_path: Path) -> None:
    figures = kill_store_writers(tmp_path / "store", 20, random.Random(0))
    assert figures["images finished"] > 0


def test_killed_file_writers_leave_complete_files(tmp_path: Path) -> None:
    assert kill_file_writers(tmp_path, 20, random.Random(0))["versions"] > 0


def test_concurrent_writers_overwrite_nothing(tmp_path: Path) -> None:
    concurrent_writers(tmp_path / "store", 2, 20)


def sentence(work: object) -> str:
    try:
        work()  # type: ignore[operator]
    except ResultsError as error:
        return f"ResultsError: {error}"
    return "no error"


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    add(store := TableStore(tmp_path / "store", HEADER), 0)

    def full() -> str:
        limit_file_size(100)
        first = sentence(lambda: add(store, 1))
        limit_file_size(1 << 30)
        # What could not be written is still there.
        return f"{first}; then {sentence(store.flush)}"

    reason = os.strerror(errno.EFBIG)
    found = in_child(full)
    assert found.startswith(f"ResultsError: can't write {tmp_path}")
    assert reason in found
    assert found.endswith("then no error")
    assert check_store(tmp_path / "store", {0, 1}) == {0, 1}
    assert not list((tmp_path / "store").glob(".*"))


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"n": 1})

    def full() -> str:
        limit_file_size(100)
        return sentence(lambda: write_json(tmp_path / "results.json", {"n": list(range(10_000))}))

    assert os.strerror(errno.EFBIG) in in_child(full)
    assert (tmp_path / "results.json").read_text() == '{\n  "n": 1\n}\n'
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_without_the_right_to_write_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    add(TableStore(folder, HEADER), 0)
    folder.chmod(0o555)

    def denied() -> str:
        if os.geteuid() == 0:
            for parent in folder.parents[:4]:
                parent.chmod(0o755)
            os.seteuid(65534)
        return sentence(lambda: add(TableStore(folder, HEADER), 1))

    found = in_child(denied)
    folder.chmod(0o755)
    assert found.startswith(f"ResultsError: can't write {folder}")
    assert os.strerror(errno.EACCES) in found
    assert check_store(folder, {0}) == {0}
