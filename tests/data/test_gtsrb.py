from collections.abc import Callable
from pathlib import Path

import pytest

from mrcert_pl.data import describe
from mrcert_pl.data.folders import FIRST_TEST_ID
from mrcert_pl.data.gtsrb import TEST_LABELS, TESTING, TRAINING
from mrcert_pl.errors import DataError


@pytest.fixture
def root(tmp_path: Path, write_picture: Callable[..., None]) -> Path:
    """Two tracks of two frames for each of the 43 signs, and three test images."""
    for label in range(43):
        for track in range(2):
            for frame in range(2):
                write_picture(tmp_path / TRAINING / f"{label:05d}" / f"{track:05d}_{frame:05d}.ppm", size=(16, 15))
        (tmp_path / TRAINING / f"{label:05d}" / f"GT-{label:05d}.csv").write_text("Filename;ClassId")
    rows = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for i, label in enumerate((16, 1, 42)):
        write_picture(tmp_path / TESTING / f"{i:05d}.ppm", size=(53, 54))
        rows.append(f"{i:05d}.ppm;53;54;6;5;48;49;{label}")
    (tmp_path / TEST_LABELS).write_text("\n".join(rows))
    return tmp_path


def test_records(root: Path) -> None:
    source = describe("gtsrb").open(root)
    train, val, test = (source.records(split) for split in ("train", "val", "test"))
    assert [(record.id - FIRST_TEST_ID, record.label) for record in test] == [(0, 16), (1, 1), (2, 42)]
    assert sorted(record.id for record in [*train, *val]) == list(range(43 * 4))
    assert all(record.path.split("/")[-2] == f"{record.label:05d}" for record in [*train, *val])
    assert source.image(train[0]).size == (16, 15)
    assert source.image(test[0]).size == (53, 54)


def test_frames_of_a_sign_stay_together(root: Path) -> None:
    source = describe("gtsrb").open(root)
    train, val = ({r.path.rpartition("_")[0] for r in source.records(split)} for split in ("train", "val"))
    assert len(train) == len(val) == 43
    assert not train & val


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Filename;ClassId\n00000.ppm;43", "1 of them with a ClassId outside 0 to 42"),
        ("Filename;ClassId\n00000.ppm;stop", "not a table"),
        ("name,class\n00000.ppm,3", "not a table"),
        ("", "has 0 rows"),
    ],
)
def test_a_broken_table_is_named(content: str, message: str, root: Path) -> None:
    (root / TEST_LABELS).write_text(content)
    with pytest.raises(DataError, match=f"GT-final_test.csv .*{message}"):
        describe("gtsrb").open(root)


def test_a_missing_table_is_named(root: Path) -> None:
    (root / TEST_LABELS).unlink()
    with pytest.raises(DataError, match=r"there is no file .*GT-final_test\.csv"):
        describe("gtsrb").open(root)
