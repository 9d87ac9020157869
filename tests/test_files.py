"""``mrcert_pl.files``: a file is complete or absent, and a folder has one writer."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import refuse_finished, run_lock, unique_name, write_json, write_whole


def write(path: Path, text: str = "new", **settings: bool) -> Path:
    return write_whole(path, lambda partial: partial.write_text(text), **settings)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    assert write(path, "old") == path
    assert write(path, "new").read_text() == "new"
    assert json.loads(write_json(path, {"a": [1, None]}).read_text()) == {"a": [1, None]}
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_must_not_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write(path, "old", replace=False)
    with pytest.raises(ResultsError, match=r"a\.txt exists and is not overwritten; remove it or choose another"):
        write(path, "new", replace=False)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("taken", [False, True])
def test_file_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a.txt"
    if taken:
        path.write_text("old")
        with pytest.raises(ResultsError, match="is not overwritten"):
            write(path, replace=False)
    else:
        assert write(path, replace=False).read_text() == "new"


@pytest.mark.parametrize("replace", [True, False])
def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path, replace: bool) -> None:
    path = write(tmp_path / "a.txt", "old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ResultsError, match=r"can't write .*a\.txt: No space left on device; choose another --to"):
        write_whole(path, fail, "--to", replace)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda one, other: (steps.append("rename"), rename(one, other))[1])
    write(tmp_path / "a.txt")
    assert steps == ["fsync", "rename", "fsync"]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(ResultsError, match="can't write"):
        write(tmp_path / "a" / "b.txt")
    with pytest.raises(ResultsError, match="can't lock"), run_lock(tmp_path / "a"):
        pass


def test_unique_names() -> None:
    assert len({unique_name() for _ in range(100)}) == 100
    assert str(os.getpid()) in unique_name()
    assert set(unique_name()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


_HOLDER = """
import sys, time
from pathlib import Path
from mrcert_pl.files import run_lock
with run_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_one_is_dead(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(ResultsError, match=r"another process is writing to .*run; wait until"), run_lock(folder):
            pass
    finally:
        holder.kill()
        holder.communicate()
    for _ in range(2):
        with run_lock(folder):
            pass


def test_an_earlier_result_is_not_overwritten(tmp_path: Path) -> None:
    refuse_finished(tmp_path / "results.json")
    write(tmp_path / "results.json")
    with pytest.raises(ResultsError, match=r"results\.json is the result of an earlier run and is not overwritten"):
        refuse_finished(tmp_path / "results.json")
