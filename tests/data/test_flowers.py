from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mrcert_pl.data import describe, official
from mrcert_pl.errors import DataError


@pytest.fixture
def root(tmp_path: Path, write_picture: Callable[..., None]) -> Path:
    folder = tmp_path / "flowers-102"
    for number in range(1, 7):
        write_picture(folder / "jpg" / f"image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([[77, 1, 102, 5, 5, 9]], dtype=np.uint8)})
    splits = {"trnid": [[6, 2]], "valid": [[4]], "tstid": [[5, 1, 3]]}
    savemat(folder / "setid.mat", {key: np.array(ids, dtype=np.uint16) for key, ids in splits.items()})
    return tmp_path


def test_records(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "check_integrity", lambda file, md5: True)
    source = describe("flowers102").open(root)
    found = {split: [(r.id, r.label) for r in source.records(split)] for split in ("train", "val", "test")}
    assert found == {"train": [(2, 0), (6, 8)], "val": [(4, 4)], "test": [(1, 76), (3, 101), (5, 4)]}
    assert source.records("test")[0].path == "flowers-102/jpg/image_00001.jpg"
    assert source.image(source.records("val")[0]).size == (40, 30)


def test_missing_pictures_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "check_integrity", lambda file, md5: True)
    (root / "flowers-102/jpg/image_00003.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 6 pictures are missing, the first is .*image_00003\.jpg"):
        describe("flowers102").open(root)


def test_tables_with_another_checksum_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"imagelabels\.mat is damaged or not the official file"):
        describe("flowers102").open(root)
