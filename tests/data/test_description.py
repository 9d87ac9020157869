from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mrcert_pl.data import DatasetDescription, describe, image_folders
from mrcert_pl.errors import DataError

FETCHED = ["imagenette", "cifar10", "cifar100", "svhn", "gtsrb", "flowers102"]


@pytest.mark.parametrize("name", ["imagenet", *FETCHED])
def test_missing_data_says_what_belongs_where_and_where_it_is_to_be_had(name: str, tmp_path: Path) -> None:
    description = describe(name)
    for there in (False, True):
        if there:
            (tmp_path / name).mkdir()
        with pytest.raises(DataError) as error:
            description.open(tmp_path / name)
        message = str(error.value)
        assert message.startswith(f"{name}: ")
        assert there or f"there is no folder {tmp_path / name}\n" in message
        assert all(str(tmp_path / name / file) in message for file in description.layout if file[0] != "(")
        assert "https://" in message or "http://" in message
        assert ("dataset.download=true" in message) == (name in FETCHED)


def test_the_folder_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe("cifar10").folder(None) == tmp_path / "data/cifar10"
    with pytest.raises(DataError, match=str(tmp_path / "data/cifar10")):
        describe("cifar10").open()


def test_imagenet_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)can't be downloaded.*val/<wnid>.*image-net\.org"):
        describe("imagenet").fetch(tmp_path / "imagenet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FETCHED)
def test_without_a_network(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(request: object, timeout: object = None) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    description = describe(name)
    with pytest.raises(DataError, match=f"(?s){name}: the download failed: no network.*Expected.*Get it") as error:
        description.fetch(tmp_path / name)
    assert all(str(tmp_path / name / file) in str(error.value) for file in description.layout if file[0] != "(")
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.endswith(".lock")] == []


def test_nothing_is_fetched_that_is_there(imagenette: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", None)
    describe("imagenette").fetch(imagenette)
    describe("digits").fetch()


class Download:
    """A download of two classes; ``fails`` after the first file."""

    def __init__(self) -> None:
        self.calls, self.fails = 0, False

    def __call__(self, root: Path) -> None:
        self.calls += 1
        for part in ("train", "val"):
            for name in ("a", "b"):
                (root / part / name).mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(root / part / name / "0.png")
                Image.new("RGB", (8, 8)).save(root / part / name / "1.png")
                if self.fails:
                    raise RuntimeError("File not found or corrupted.")
        (root / "set.tgz").touch()


def two_classes(download: Download) -> DatasetDescription:
    source = partial(image_folders, folders=("a", "b"), val_fraction=0.5)
    return DatasetDescription("two", ("a", "b"), "whole", source, layout=("train", "val"), download=download)


@pytest.mark.parametrize("exists", [False, True])
def test_a_download_is_there_completely_or_not_at_all(exists: bool, tmp_path: Path) -> None:
    root, download = tmp_path / "data" / "two", Download()
    if exists:
        root.mkdir(parents=True)
        (root / "mine.txt").touch()
    download.fails = True
    with pytest.raises(DataError, match="the download failed: File not found or corrupted"):
        two_classes(download).fetch(root)
    assert root.exists() == exists
    download.fails = False
    for _ in range(2):
        two_classes(download).fetch(root)
    assert download.calls == 2
    assert sorted(entry.name for entry in root.iterdir()) == [*(["mine.txt"] if exists else []), "train", "val"]
    assert [entry.name for entry in root.parent.iterdir() if not entry.name.endswith(".lock")] == ["two"]


def test_files_of_the_user_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "two" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"two/train is there, but the data set is not complete; move it away"):
        two_classes(Download()).fetch(tmp_path / "two")
    assert not any((tmp_path / "two" / "train").iterdir())


def test_labels_beyond_the_classes_are_refused(imagenette: Path) -> None:
    with pytest.raises(DataError, match=r"has the labels \[1, 2, 3, 4, 5\], which are not 0 to 0"):
        replace(describe("imagenette"), classes=("one",)).open(imagenette)
