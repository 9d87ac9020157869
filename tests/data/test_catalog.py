from pathlib import Path

import pytest

from mrcert_pl.data import DatasetDescription, catalog, describe, names, register
from mrcert_pl.data.digits import Digits
from mrcert_pl.errors import ConfigurationError

SIZES = {"imagenet": 1000, "imagenette": 10, "cifar10": 10, "cifar100": 100, "svhn": 10, "gtsrb": 43, "flowers102": 102}


@pytest.mark.parametrize(("name", "classes"), SIZES.items())
def test_classes_are_known_without_the_data(name: str, classes: int) -> None:
    found = describe(name).classes
    assert len(found) == len(set(found)) == classes
    assert all(each == each.strip() and each for each in found)


def test_imagenette_is_part_of_imagenet() -> None:
    imagenet = describe("imagenet").classes
    expected = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
    assert [imagenet.index(name) for name in describe("imagenette").classes] == expected


def test_small_images_are_taken_whole() -> None:
    assert {name for name in SIZES if describe(name).resize == "whole"} == {"cifar10", "cifar100", "svhn", "gtsrb"}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_REGISTERED", {})


@pytest.mark.usefixtures("registered")
def test_a_registered_data_set_is_found() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown data set 'mine'; choose one of: attacked, .*folder"):
        describe("mine")
    mine = DatasetDescription("mine", ("a", "b"), "whole", Digits)
    register("mine", mine)
    assert describe("mine") is mine
    assert "mine" in names()
    register("mine", lambda root, labels: DatasetDescription(f"{root} {labels}", ("a",), "whole", Digits))
    assert describe("mine", "x", "y.csv").name == "x y.csv"


@pytest.mark.usefixtures("registered")
def test_a_module_is_imported_that_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_signs.py").write_text(
        "from mrcert_pl.data import register, describe\nregister('signs', describe('digits'))"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert describe("signs", module="my_signs") is describe("digits")


@pytest.mark.parametrize(("name", "message"), [("digits", "built in"), ("../x", "letters, digits"), ("", "letters")])
def test_names_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        register(name, describe("digits"))
