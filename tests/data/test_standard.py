"""The published data sets in miniature: torchvision reads them, ids and splits are ours."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, SVHN

from mrcert_pl.data import describe
from mrcert_pl.data.folders import FIRST_TEST_ID
from mrcert_pl.errors import DataError


@pytest.fixture
def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny files can't have the official checksums."""
    for module in ("cifar", "svhn", "flowers102"):
        name = f"torchvision.datasets.{module}.check_integrity"
        monkeypatch.setattr(name, lambda file, md5=None: Path(file).is_file())


def write_cifar(root: Path, data_set: type[CIFAR10], key: str, classes: int) -> np.ndarray:
    """Two images of each class in every batch; all pixels, in the official order."""
    folder = root / data_set.base_folder
    folder.mkdir(parents=True)
    written = []
    for i, (name, _) in enumerate([*data_set.train_list, *data_set.test_list]):
        pixels = np.random.default_rng(i).integers(0, 256, (2 * classes, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, key: [j % classes for j in range(2 * classes)]}))
        written.append(pixels)
    meta = {data_set.meta["key"]: list(describe(data_set.__name__.lower()).classes)}
    (folder / data_set.meta["filename"]).write_bytes(pickle.dumps(meta))
    return np.concatenate(written).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


@pytest.mark.usefixtures("any_checksum")
@pytest.mark.parametrize(
    ("data_set", "key", "classes"), [(CIFAR10, "labels", 10), (CIFAR100, "fine_labels", 100)], ids=["10", "100"]
)
def test_cifar(data_set: type[CIFAR10], key: str, classes: int, tmp_path: Path) -> None:
    pixels = write_cifar(tmp_path, data_set, key, classes)
    source = describe(data_set.__name__.lower()).open(tmp_path)
    train, val, test = (source.records(split) for split in ("train", "val", "test"))
    assert sorted(record.id for record in [*train, *val]) == list(range(len(pixels) - 2 * classes))
    assert [record.id for record in test] == list(range(len(pixels) - 2 * classes, len(pixels)))
    assert {record.label for record in val} == set(range(classes))
    assert (train[0].path, test[3].path) == (f"train/{train[0].id}", "test/3")
    for record in [train[0], val[-1], test[0], test[-1]]:
        assert record.label == record.id % classes
        assert np.array_equal(np.asarray(source.image(record)), pixels[record.id])


@pytest.mark.usefixtures("any_checksum")
def test_cifar_with_other_class_names_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path, CIFAR10, "labels", 10)
    (tmp_path / CIFAR10.base_folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["x"] * 10}))
    with pytest.raises(DataError, match="cifar-10-batches-py names other classes"):
        describe("cifar10").open(tmp_path)


def test_damaged_cifar_is_refused_before_it_is_unpickled(tmp_path: Path) -> None:
    write_cifar(tmp_path, CIFAR10, "labels", 10)
    (tmp_path / CIFAR10.base_folder / "data_batch_1").write_bytes(b"\x80")
    with pytest.raises(DataError, match="are missing, damaged or not the published ones"):
        describe("cifar10").open(tmp_path)
    (tmp_path / CIFAR10.base_folder / "data_batch_1").unlink()
    with pytest.raises(DataError, match=r"data_batch_1  \(missing\)\n.*data_batch_2\n"):
        describe("cifar10").open(tmp_path)


def test_cifar_as_image_folders(tmp_path: Path, write_image: Callable[..., None]) -> None:
    for part, count in (("train", 3), ("test", 1)):
        for name in describe("cifar10").classes:
            for i in range(count):
                write_image(tmp_path / part / name / f"{i:04d}.png", size=(32, 32))
    source = describe("cifar10").open(tmp_path)
    assert [len(source.records(split)) for split in ("train", "val", "test")] == [20, 10, 10]
    assert source.records("test")[9].path == "test/truck/0000.png"
    assert source.image(source.records("test")[9]).size == (32, 32)


@pytest.mark.usefixtures("any_checksum")
def test_svhn(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
    digits = np.arange(50) % 10
    for split, part in (("train", slice(0, 30)), ("test", slice(30, 50))):
        # The files call zero ten.
        labels = np.where(digits[part] == 0, 10, digits[part])[:, None].astype(np.uint8)
        savemat(tmp_path / SVHN.split_list[split][1], {"X": pixels[part].transpose(1, 2, 3, 0), "y": labels})
    source = describe("svhn").open(tmp_path)
    records = [record for split in ("train", "val", "test") for record in source.records(split)]
    assert sorted(record.id for record in records) == list(range(50))
    assert [len(source.records(split)) for split in ("train", "val", "test")] == [20, 10, 20]
    for record in records:
        assert record.label == digits[record.id]
        assert np.array_equal(np.asarray(source.image(record)), pixels[record.id])


def test_damaged_svhn_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train_32x32.mat").write_bytes(b"half")
    with pytest.raises(
        DataError, match=r"(?s)are missing, damaged or not .*train_32x32\.mat\n.*test_32x32\.mat  \(missing\)"
    ):
        describe("svhn").open(tmp_path)


@pytest.fixture
def flowers(tmp_path: Path, write_image: Callable[..., None]) -> Path:
    folder = tmp_path / "flowers-102"
    for number in range(1, 7):
        write_image(folder / "jpg" / f"image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([[77, 1, 102, 5, 5, 9]], dtype=np.uint8)})
    splits = {"trnid": [[6, 2]], "valid": [[4, 4]], "tstid": [[5, 1, 3]]}
    savemat(folder / "setid.mat", {name: np.array(ids, dtype=np.uint16) for name, ids in splits.items()})
    return tmp_path


@pytest.mark.usefixtures("any_checksum")
def test_flowers(flowers: Path) -> None:
    source = describe("flowers102").open(flowers)
    found = {split: [(r.id, r.label) for r in source.records(split)] for split in ("train", "val", "test")}
    assert found == {"train": [(2, 0), (6, 8)], "val": [(4, 4), (4, 4)], "test": [(1, 76), (3, 101), (5, 4)]}
    assert source.records("test")[0].path == "flowers-102/jpg/image_00001.jpg"
    assert source.image(source.records("val")[0]).size == (40, 30)
    (flowers / "flowers-102/jpg/image_00003.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 7 images are missing, the first is .*image_00003\.jpg"):
        describe("flowers102").open(flowers)


def test_flowers_with_other_checksums_are_refused(flowers: Path) -> None:
    with pytest.raises(DataError, match="not the published ones"):
        describe("flowers102").open(flowers)


@pytest.fixture
def signs(tmp_path: Path, write_image: Callable[..., None]) -> Path:
    """Two tracks of two frames for each of the 43 signs, and three test images."""
    training, testing = tmp_path / "gtsrb/GTSRB/Training", tmp_path / "gtsrb/GTSRB/Final_Test/Images"
    for label in range(43):
        for track in range(2):
            for frame in range(2):
                write_image(training / f"{label:05d}" / f"{track:05d}_{frame:05d}.ppm", size=(16, 15))
        (training / f"{label:05d}" / f"GT-{label:05d}.csv").write_text("Filename;ClassId")
    rows = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for i, label in enumerate((16, 1, 42)):
        write_image(testing / f"{i:05d}.ppm", size=(53, 54))
        rows.append(f"{i:05d}.ppm;53;54;6;5;48;49;{label}")
    (tmp_path / "gtsrb/GT-final_test.csv").write_text("\n".join(rows))
    return tmp_path


def test_gtsrb(signs: Path) -> None:
    source = describe("gtsrb").open(signs)
    train, val, test = (source.records(split) for split in ("train", "val", "test"))
    assert [(record.id - FIRST_TEST_ID, record.label) for record in test] == [(0, 16), (1, 1), (2, 42)]
    assert sorted(record.id for record in [*train, *val]) == list(range(43 * 4))
    assert all(record.path.split("/")[-2] == f"{record.label:05d}" for record in [*train, *val])
    assert [record.path for record in sorted([*train, *val])] == sorted(record.path for record in [*train, *val])
    assert source.image(train[0]).size == (16, 15)
    assert source.image(test[0]).size == (53, 54)


def test_frames_of_a_sign_stay_together(signs: Path) -> None:
    source = describe("gtsrb").open(signs)
    train, val = ({r.path.rpartition("_")[0] for r in source.records(split)} for split in ("train", "val"))
    assert len(train) == len(val) == 43
    assert not train & val


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Filename;ClassId\n00000.ppm;43", r"labels \[43\], which are not 0 to 42"),
        ("Filename;ClassId\n00000.ppm;stop", "GT-final_test.csv is not a table"),
        ("name,class\n00000.ppm,3", "GT-final_test.csv is not a table"),
        ("Filename;ClassId\n/etc/passwd;3", "GT-final_test.csv is not a table"),
        ("", "GT-final_test.csv has no rows"),
        (None, r"GT-final_test\.csv  \(missing\)"),
    ],
)
def test_a_broken_table_is_named(content: str | None, message: str, signs: Path) -> None:
    table = signs / "gtsrb/GT-final_test.csv"
    table.unlink() if content is None else table.write_text(content)
    with pytest.raises(DataError, match=message):
        describe("gtsrb").open(signs)


def test_imagenette_as_torchvision_unpacks_it(imagenette: Path) -> None:
    plain = describe("imagenette").open(imagenette)
    (imagenette / "imagenette2-320").mkdir()
    for part in ("train", "val"):
        (imagenette / part).rename(imagenette / "imagenette2-320" / part)
    unpacked = describe("imagenette").open(imagenette)
    assert all(plain.records(split) == unpacked.records(split) for split in ("train", "val", "test"))
    assert unpacked.image(unpacked.records("test")[0]).mode == "RGB"
