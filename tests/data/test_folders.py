import os
from pathlib import Path

import pytest

from mrcert_pl.data import describe
from mrcert_pl.data.class_names import IMAGENETTE_FOLDERS
from mrcert_pl.data.folders import FIRST_TEST_ID
from mrcert_pl.errors import DataError

open_imagenette = describe("imagenette").open


def test_splits_labels_and_paths(imagenette: Path) -> None:
    source = open_imagenette(imagenette)
    train, val, test = (source.records(split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (30, 10, 20)
    assert [record.label for record in val] == list(range(10))
    assert [record.id for record in test] == list(range(FIRST_TEST_ID, FIRST_TEST_ID + 20))
    assert sorted(record.id for record in [*train, *val]) == list(range(40))
    for record in [*train, *val, *test]:
        part, folder, _ = record.path.split("/")
        assert part == ("val" if record.id >= FIRST_TEST_ID else "train")
        assert IMAGENETTE_FOLDERS[record.label] == folder
        assert source.image(record).size == (40, 30)


def test_ids_follow_the_sorted_paths(imagenette: Path) -> None:
    source = open_imagenette(imagenette)
    training = sorted([*source.records("train"), *source.records("val")])
    assert [record.path for record in training] == sorted(record.path for record in training)


def test_test_ids_and_the_side_of_an_image_dont_depend_on_other_images(imagenette: Path) -> None:
    before = open_imagenette(imagenette)
    gone = before.records("train")[0]
    (imagenette / gone.path).unlink()
    after = open_imagenette(imagenette)
    assert after.records("test") == before.records("test")
    assert [record.path for record in after.records("val")] == [record.path for record in before.records("val")]


def test_only_images_count(imagenette: Path) -> None:
    before = open_imagenette(imagenette).records("test")
    for name in (".DS_Store", "notes.txt", "._picture.JPEG", "Thumbs.db"):
        (imagenette / "val" / IMAGENETTE_FOLDERS[0] / name).write_text("no image")
    (imagenette / "val" / ".ipynb_checkpoints").mkdir()
    (imagenette / "readme.txt").touch()
    assert open_imagenette(imagenette).records("test") == before


def test_an_empty_class_folder_is_named(imagenette: Path) -> None:
    folder = imagenette / "train" / IMAGENETTE_FOLDERS[3]
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataError, match=f"class folder {folder} holds no image"):
        open_imagenette(imagenette)


def test_a_validation_folder_with_other_classes_lists_the_differences(imagenette: Path) -> None:
    for i, folder in enumerate(IMAGENETTE_FOLDERS[:7]):
        os.rename(imagenette / "val" / folder, imagenette / "val" / f"other{i}")
    with pytest.raises(DataError) as error:
        open_imagenette(imagenette)
    first = str(error.value).splitlines()[0]
    assert first == (
        f"imagenette: {imagenette / 'val'} doesn't hold the 10 classes of the data set: "
        f"it lacks {', '.join(IMAGENETTE_FOLDERS[:5])} and 2 more; "
        "no class is other0, other1, other2, other3, other4 and 2 more"
    )


def test_imagenet_needs_its_thousand_folders(imagenette: Path) -> None:
    with pytest.raises(DataError, match=r"1000 classes of the data set: it lacks n01443537, .* and 985 more"):
        describe("imagenet").open(imagenette)


@pytest.mark.skipif("MRCERT_IMAGENETTE" not in os.environ, reason="MRCERT_IMAGENETTE doesn't name the real ImageNette")
def test_the_real_imagenette() -> None:
    source = open_imagenette(os.environ["MRCERT_IMAGENETTE"])
    assert len(source.records("train")) + len(source.records("val")) == 9469
    assert len(source.records("val")) == 475
    assert len(source.records("test")) in (1959, 3925)
    assert source.image(source.records("test")[0]).mode == "RGB"
