"""Names of classes: as many as the data sets have, each once, in the order of the labels."""

import pytest

from mrcert_pl.data import class_names


@pytest.mark.parametrize(
    ("names", "count", "some"),
    [
        (class_names.IMAGENETTE_FOLDERS, 10, {0: "n01440764", 9: "n03888257"}),
        (class_names.CIFAR10, 10, {0: "airplane", 9: "truck"}),
        (class_names.CIFAR100, 100, {0: "apple", 57: "pear", 99: "worm"}),
        (class_names.FLOWERS102, 102, {0: "pink primrose", 29: "sweet william", 101: "blackberry lily"}),
        (class_names.GTSRB, 43, {0: "speed limit 20 km/h", 13: "yield", 14: "stop", 40: "roundabout"}),
    ],
    ids=["imagenette", "cifar10", "cifar100", "flowers102", "gtsrb"],
)
def test_every_class_has_one_name(names: tuple[str, ...], count: int, some: dict[int, str]) -> None:
    assert len(names) == len(set(names)) == count
    assert {label: names[label] for label in some} == some
    # Line breaks of the source are no part of a name.
    assert all(name and name == " ".join(name.split()) for name in names)


def test_folders_of_a_data_set_are_in_the_order_of_the_labels() -> None:
    assert list(class_names.IMAGENETTE_FOLDERS) == sorted(class_names.IMAGENETTE_FOLDERS)
    assert list(class_names.CIFAR10) == sorted(class_names.CIFAR10)
    assert list(class_names.CIFAR100) == sorted(class_names.CIFAR100)


def test_the_names_of_imagenet_are_unique() -> None:
    names = class_names.imagenet()
    assert len(names) == len(set(names.values())) == 1000
    assert list(names) == sorted(names)
    assert names["n01440764"] == "tench"
    assert sorted(name for name in names.values() if name.startswith("crane")) == [
        "crane (n02012849)",
        "crane (n03126707)",
    ]
    assert set(class_names.IMAGENETTE_FOLDERS) <= names.keys()
