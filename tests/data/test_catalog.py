import pytest

from mrcert_pl.data import describe

SIZES = {"imagenet": 1000, "imagenette": 10, "cifar10": 10, "cifar100": 100, "svhn": 10, "gtsrb": 43, "flowers102": 102}


@pytest.mark.parametrize(("name", "classes"), SIZES.items())
def test_classes_are_known_without_the_data(name: str, classes: int) -> None:
    names = describe(name).classes
    assert len(names) == len(set(names)) == classes
    assert all(each == each.strip() and each for each in names)


def test_imagenette_is_part_of_imagenet() -> None:
    imagenet = describe("imagenet").classes
    expected = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
    assert [imagenet.index(name) for name in describe("imagenette").classes] == expected


def test_small_images_are_taken_whole() -> None:
    assert {name for name in SIZES if describe(name).resize == "whole"} == {"cifar10", "cifar100", "svhn", "gtsrb"}
