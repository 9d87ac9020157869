from pathlib import Path

import pytest

from mrcert_pl.data.trusted_paths import below_here, trusted_path
from mrcert_pl.errors import DataError


def test_paths_below_the_working_directory_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    below = ["best.ckpt", "a/b.ckpt", str(tmp_path / "a" / "best.ckpt")]
    assert [str(trusted_path(path)) for path in below] == below
    elsewhere = [
        "../best.ckpt",
        "a/../../b",
        "/etc/passwd",
        "~/.ssh/key",
        "C:\\a",
        "\\\\host\\a",
        "a\\..\\b",
        "a\x00b",
        "${oc.env:HOME}/a",
    ]
    assert [trusted_path(path) for path in elsewhere] == [None] * len(elsewhere)


def test_a_path_elsewhere_is_refused_by_its_name() -> None:
    assert below_here("a/best.ckpt", "checkpoint") == Path("a/best.ckpt")
    with pytest.raises(
        DataError, match=r"names the checkpoint '~/best\.ckpt', which is not below the working directory"
    ):
        below_here("~/best.ckpt", "checkpoint")
