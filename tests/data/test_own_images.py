"""One's own images by path alone."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrcert_pl.data import ImageDataModule, describe
from mrcert_pl.data.folders import FIRST_TEST_ID
from mrcert_pl.errors import ConfigurationError, DataError

Write = Callable[..., None]


def ids(root: Path, split: str, labels: Path | None = None) -> dict[str, tuple[int, int]]:
    """Id and label of the images of a split by their paths."""
    source = describe("folder", root, labels).open(root)
    return {record.path: (record.id, record.label) for record in source.records(split)}  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path, write_image: Write) -> Path:
    """Ten images of each of two classes, in many formats, some below further folders."""
    root = tmp_path / "photos"
    suffixes = ["jpg", "png", "gif", "webp", "bmp", "tif", "JPEG", "ppm", "tga", "jp2"]
    for name in ("yield", "stop"):
        for i, suffix in enumerate(suffixes):
            write_image(root / name / ("deep" if i == 3 else "") / f"{i}.{suffix}", value=i, size=(40 + i, 30))
    return root


def test_classes_are_the_sorted_subfolders_and_the_split_is_said(photos: Path) -> None:
    description = describe("folder", photos)
    assert description.classes == ("stop", "yield")
    assert description.resize == "crop"
    (note,) = description.notes
    assert "20% of each class are test images and 10% validation images" in note
    splits = {split: ids(photos, split) for split in ("train", "val", "test")}
    assert {split: len(found) for split, found in splits.items()} == {"train": 14, "val": 2, "test": 4}
    everything = {path: values for found in splits.values() for path, values in found.items()}
    assert [everything[path][0] for path in sorted(everything)] == list(range(20))
    assert all(label == path.startswith("yield") for path, (_, label) in everything.items())
    assert splits == {split: ids(photos, split) for split in ("train", "val", "test")}


def test_every_image_is_served(photos: Path) -> None:
    data = ImageDataModule("folder", photos, image_px=(16, 16), batch_size=4)
    assert [len(batch.id) for batch in data.test_dataloader()] == [4]
    assert [batch.image.shape[1:] for batch in data.train_dataloader()] == [(3, 16, 16)] * 3


def test_skipped_files_are_reported(photos: Path) -> None:
    for name in ("stop/notes.txt", "yield/Thumbs.db", "stop/.hidden.txt"):
        (photos / name).touch()
    (photos / "stop/.cache").mkdir()
    (photos / "stop/.cache/a.png").touch()
    notes = ImageDataModule("folder", photos).notes()
    assert notes[-1] == "2 files without the suffix of an image are skipped: stop/notes.txt, yield/Thumbs.db"
    assert not any("cache" in path for path in ids(photos, "train"))


@pytest.mark.parametrize(
    ("parts", "counts", "note"),
    [
        (("train", "val"), (18, 2, 20), "reported on val; 10% of the images in train are validation images"),
        (("train", "test"), (18, 2, 20), "reported on test; 10% of the images in train are validation images"),
        (("train", "val", "test"), (20, 20, 20), "train, val and test images as given"),
        (("train",), (14, 2, 4), "no val or test images: results are reported on 20% of the images in train"),
        (("val",), (0, 0, 20), "no training images: results are reported on val"),
    ],
)
def test_splits_as_folders(parts: tuple[str, ...], counts: tuple[int, ...], note: str, photos: Path) -> None:
    root = photos.parent / "split"
    for part in parts:
        (root / part).parent.mkdir(exist_ok=True)
        (root / part).symlink_to(photos, target_is_directory=True)
    assert note in describe("folder", root).notes[0]
    assert tuple(len(ids(root, split)) for split in ("train", "val", "test")) == counts
    if len(parts) > 1:
        assert min(image_id for image_id, _ in ids(root, "test").values()) == FIRST_TEST_ID
    source = describe("folder", root).open(root)
    every = [record.id for split in ("train", "val", "test") for record in source.records(split)]  # type: ignore[arg-type]
    assert len(set(every)) == len(every)


def test_a_folder_beside_the_splits_is_reported(photos: Path) -> None:
    root = photos.parent / "split"
    for part in ("train", "val"):
        (root / part).parent.mkdir(exist_ok=True)
        photos.rename(root / part) if part == "train" else (root / part).symlink_to(root / "train")
    (root / "raw" / "stop").mkdir(parents=True)
    assert describe("folder", root).notes[1] == "folders beside train, val are not used: raw"


def test_a_class_may_be_called_train(tmp_path: Path, write_image: Write) -> None:
    for name in ("train", "bus"):
        for i in range(4):
            write_image(tmp_path / name / f"{i}.png")
    assert describe("folder", tmp_path).classes == ("bus", "train")


def test_photos_are_upright(photos: Path) -> None:
    """As the guard sees them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photos / "stop/0.png", exif=exif)
    source = describe("folder", photos).open(photos)
    (record,) = [r for split in ("train", "val", "test") for r in source.records(split) if r.path == "stop/0.png"]  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(source.image(record)), np.rot90(pixels, -1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "there is no folder .* with images"),
        (lambda root: root.mkdir(), r"has 0 class\(es\), and at least 2 are needed: one subfolder"),
        (lambda root: (root / "a").mkdir(parents=True), r"has 1 class\(es\)"),
        (
            lambda root: [(root / name).mkdir(parents=True) for name in "ab"],
            "folder: the class folder .*/a holds no image",
        ),
    ],
)
def test_folders_without_images(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    make(tmp_path / "none")
    with pytest.raises(DataError, match=message):
        describe("folder", tmp_path / "none").open(tmp_path / "none")


def test_without_a_folder() -> None:
    with pytest.raises(ConfigurationError, match=r"dataset=folder needs dataset\.root=FOLDER"):
        ImageDataModule("folder")


def table(root: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...] = ("path", "label")) -> Path:
    with (file := root.parent / "labels.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([columns, *rows])
    return file


def test_labels_from_a_table(photos: Path) -> None:
    rows = [(f"stop/{i}.{suffix}", "odd" if i % 2 else "even") for i, suffix in enumerate(["jpg", "png", "gif"])]
    file = table(photos, [*rows, ("yield/0.jpg", "even"), ("yield/1.png", "odd")])
    assert describe("folder", photos, file).classes == ("even", "odd")
    found = {**ids(photos, "train", file), **ids(photos, "val", file), **ids(photos, "test", file)}
    assert {path: label for path, (_, label) in found.items()} == {
        **{path: int(label == "odd") for path, label in rows},
        "yield/0.jpg": 0,
        "yield/1.png": 1,
    }
    assert [found[path][0] for path in sorted(found)] == list(range(5))
    data = ImageDataModule("folder", photos, image_px=(16, 16), batch_size=1, labels=file)
    assert len(data.split("test")) == 2


def test_splits_from_a_table(photos: Path) -> None:
    rows = [("stop/0.jpg", "s", "train"), ("yield/0.jpg", "y", "train"), ("stop/1.png", "s", "val")]
    file = table(photos, [*rows, ("yield/1.png", "y", "test")], ("path", "label", "split"))
    assert [list(ids(photos, split, file)) for split in ("train", "val", "test")] == [
        ["stop/0.jpg", "yield/0.jpg"],
        ["stop/1.png"],
        ["yield/1.png"],
    ]


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (("file", "label"), ("stop/0.jpg", "s"), r"needs the columns path and label .*, got \['file', 'label'\]"),
        (("path", "label"), ("../x.jpg", "s"), "line 3: a path below .* and a label are needed, got '../x.jpg'"),
        (("path", "label"), ("/etc/passwd", "s"), "line 3: a path below"),
        (("path", "label"), ("stop/0.jpg", ""), "line 3: a path below .* got 'stop/0.jpg', ''"),
        (("path", "label"), ("stop/0.jpg",), "line 3: a path below .* None"),
        (("path", "label"), ("stop/1.png", "s"), "line 3: stop/1.png is listed twice, first in line 2"),
        (("path", "label"), ("./stop/1.png", "s"), "line 3: ./stop/1.png is listed twice, first in line 2"),
        (("path", "label"), ("stop//1.png", "s"), "line 3: stop//1.png is listed twice, first in line 2"),
        (
            ("path", "label", "split"),
            ("stop/0.jpg", "s", "dev"),
            "line 2: the split must be train, val or test, got ''",
        ),
    ],
)
def test_a_broken_table_is_named(columns: tuple[str, ...], row: tuple[str, ...], message: str, photos: Path) -> None:
    file = table(photos, [("stop/1.png", "t", *[""] * (len(columns) - 2)), row], columns)
    with pytest.raises(DataError, match=message) as error:
        describe("folder", photos, file)
    assert str(error.value).startswith(str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path;label\nstop/0.jpg;s\n", r"needs the columns path and label .*, separated by commas, got"),
        (b"path,label\nstop/0.jpg,s\xe4ge\n", r"can't read .*labels\.csv: it is not in UTF-8; save it as CSV UTF-8"),
    ],
    ids=["semicolons", "latin-1"],
)
def test_tables_of_other_programs(content: bytes, message: str, photos: Path) -> None:
    file = photos / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        describe("folder", photos, file)


def test_missing_images_of_a_table_are_named(photos: Path) -> None:
    file = table(photos, [("stop/0.jpg", "s"), ("stop/none.jpg", "t")])
    with pytest.raises(DataError, match=r"1 of the 2 listed images are missing, the first is .*stop/none\.jpg"):
        describe("folder", photos, file).open(photos)
    with pytest.raises(DataError, match=r"can't read .*none\.csv"):
        describe("folder", photos, photos / "none.csv")
