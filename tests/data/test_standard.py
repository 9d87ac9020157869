import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, SVHN

from mrcert_pl.data import describe, official
from mrcert_pl.errors import DataError


@pytest.fixture
def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny files can't have the official checksums."""
    for module in (official, "torchvision.datasets.cifar", "torchvision.datasets.svhn"):
        name = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{name}.check_integrity", lambda file, md5=None: Path(file).is_file())


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
    with pytest.raises(DataError, match=r"batches\.meta names other classes"):
        describe("cifar10").open(tmp_path)


def test_damaged_cifar_is_refused_before_it_is_unpickled(tmp_path: Path) -> None:
    write_cifar(tmp_path, CIFAR10, "labels", 10)
    (tmp_path / CIFAR10.base_folder / "data_batch_1").write_bytes(b"\x80")
    with pytest.raises(DataError, match=r"data_batch_1 is damaged or not the official file"):
        describe("cifar10").open(tmp_path)
    (tmp_path / CIFAR10.base_folder / "data_batch_1").unlink()
    with pytest.raises(DataError, match=r"there is no file .*data_batch_1"):
        describe("cifar10").open(tmp_path)


def test_cifar_as_image_folders(tmp_path: Path, write_picture: Callable[..., None]) -> None:
    for part, count in (("train", 3), ("test", 1)):
        for name in describe("cifar10").classes:
            for i in range(count):
                write_picture(tmp_path / part / name / f"{i:04d}.png", size=(32, 32))
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
    with pytest.raises(DataError, match=r"train_32x32\.mat is damaged"):
        describe("svhn").open(tmp_path)
