from pathlib import Path

import pytest

from mrcert_pl.data import describe
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
        assert message.startswith(f"{name}: there is no f")
        assert all(str(tmp_path / name / file) in message for file in description.layout)
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
    def offline(request: object, timeout: float) -> None:
        raise OSError("no network")

    monkeypatch.setattr("mrcert_pl.data.download.urlopen", offline)
    description = describe(name)
    with pytest.raises(
        DataError, match=f"(?s){name}: http.* could not be fetched: no network.*Expected.*Get it"
    ) as error:
        description.fetch(tmp_path / name)
    assert all(str(tmp_path / name / file) in str(error.value) for file in description.layout)
    assert not (tmp_path / name).exists()


def test_nothing_is_fetched_that_is_there(imagenette: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcert_pl.data.download.urlopen", None)
    describe("imagenette").fetch(imagenette)
    describe("digits").fetch()
