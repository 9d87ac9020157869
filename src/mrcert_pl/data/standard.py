"""The published data sets, read and fetched by torchvision's own classes.

torchvision gives images and labels. Added here are stable ids, a fixed validation split where there is none, and
errors that name the file.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision import datasets

from mrcert_pl.data import class_names
from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.folders import FIRST_TEST_ID, ImageFiles, image_folders, labelled, numbered
from mrcert_pl.data.records import Record, Source, Split
from mrcert_pl.data.splits import held_out
from mrcert_pl.errors import DataError

_IMAGENETTE_FOLDER = "imagenette2-320"
_IMAGENET = class_names.imagenet()


class LoadedImages:
    """Training and test images in memory: CIFAR-10, CIFAR-100 and SVHN.

    The id of a training image is its position in the official order; of a test image its position after all training
    images.

    Args:
        train: torchvision's data set of training images.
        test: torchvision's data set of test images.
        labels: Labels of both.
        val_fraction: Fraction of the training images that is held out for validation.
    """

    def __init__(self, train: Any, test: Any, labels: tuple[Sequence[int], Sequence[int]], val_fraction: float) -> None:
        self._data = (train, test)
        training = [Record(i, int(label), f"train/{i}") for i, label in enumerate(labels[0])]
        testing = [Record(len(training) + i, int(label), f"test/{i}") for i, label in enumerate(labels[1])]
        rest, val = held_out(training, val_fraction)
        self._records: dict[Split, list[Record]] = {"train": rest, "val": val, "test": testing}

    def records(self, split: Split) -> Sequence[Record]:
        return self._records[split]

    def image(self, record: Record) -> Image.Image:
        train, test = self._data
        data, position = (train, record.id) if record.id < len(train) else (test, record.id - len(train))
        return data[position][0]


def cifar(root: Path, data_set: type[datasets.CIFAR10], classes: Sequence[str]) -> Source:
    """Open CIFAR-10 or CIFAR-100: the official Python version or, without that, ``train`` and ``test`` image folders.

    Raises:
        DataError: if neither is there, or files are damaged. torchvision compares checksums before it unpickles.
    """
    if not (root / data_set.base_folder).is_dir() and (root / "train").is_dir():
        return image_folders(root, classes, 0.05, test="test")
    with _checked(root):
        train, test = data_set(root, train=True), data_set(root, train=False)
    if tuple(train.classes) != tuple(classes):
        raise DataError(f"{root / data_set.base_folder} names other classes than the data set's description")
    return LoadedImages(train, test, (train.targets, test.targets), 0.05)


def svhn(root: Path) -> Source:
    """Open SVHN, cropped digits, without its ``extra`` images."""
    with _checked(root):
        train, test = datasets.SVHN(root, "train"), datasets.SVHN(root, "test")
    return LoadedImages(train, test, (train.labels, test.labels), 0.05)


def flowers102(root: Path) -> Source:
    """Open Oxford 102 flowers in their official split. The id of an image is the number in its file name (from 1)."""
    parts: dict[Split, list[Record]] = {}
    for split in ("train", "val", "test"):
        with _checked(root):
            data: Any = datasets.Flowers102(root, split)  # lists paths and labels in private attributes only
        files = sorted(zip(data._image_files, data._labels, strict=True))
        parts[split] = [
            Record(int(file.stem.rpartition("_")[2]), int(label), file.relative_to(root).as_posix())
            for file, label in files
        ]
    return _complete(ImageFiles(root, parts))


def gtsrb(root: Path) -> Source:
    """Open the German traffic signs.

    The id of a training image is its position in the sorted paths; of a test image its row in the table of test labels
    plus 10,000,000.

    Raises:
        DataError: if the table of test labels is not one, or images are missing.
    """
    table = root / "gtsrb/GT-final_test.csv"
    training = labelled(root, "gtsrb/GTSRB/Training", [f"{label:05d}" for label in range(len(class_names.GTSRB))])
    try:
        with _checked(root):
            data: Any = datasets.GTSRB(root, "test")  # lists paths and labels in a private attribute only
        testing = [(label, Path(file).relative_to(root).as_posix()) for file, label in data._samples]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{table} is not a table with the columns Filename and ClassId, separated by ';'") from error
    if not testing:
        raise DataError(f"{table} has no rows")
    # Thirty frames show the same sign as the car drives by (<track>_<frame>.ppm): all of them on one side.
    rest, val = held_out(numbered(training), 0.1, group=_track)
    return _complete(ImageFiles(root, {"train": rest, "val": val, "test": numbered(testing, FIRST_TEST_ID)}))


def _track(path: str) -> str:
    return path.rpartition("_")[0]


def imagenette(root: Path) -> Source:
    """Open ImageNette, either in ``imagenette2-320/`` as torchvision unpacks it, or as plain ``train`` and ``val``."""
    unpacked = root / _IMAGENETTE_FOLDER
    return image_folders(unpacked if unpacked.is_dir() else root, class_names.IMAGENETTE_FOLDERS, 0.05)


@contextmanager
def _checked(root: Path) -> Iterator[None]:
    """Replace torchvision's error for a missing file or a wrong checksum."""
    try:
        yield
    except RuntimeError as error:
        raise DataError(f"files in {root} are missing, damaged or not the published ones") from error


def _complete(files: ImageFiles) -> ImageFiles:
    """Check that the files that a table lists are there."""
    paths = [record.path for records in files.splits.values() for record in records]
    if missing := [path for path in paths if not (files.root / path).is_file()]:
        raise DataError(f"{len(missing)} of {len(paths)} images are missing, the first is {files.root / missing[0]}")
    return files


def _fetch(root: Path, data_set: Callable[..., Any], splits: Sequence[Any], **arguments: Any) -> None:
    for split in splits:
        data_set(root, split, download=True, **arguments)


def descriptions() -> list[DatasetDescription]:
    """Return the descriptions of the published data sets."""
    cifars = ((datasets.CIFAR10, class_names.CIFAR10), (datasets.CIFAR100, class_names.CIFAR100))
    return [
        DatasetDescription(
            "imagenet",
            tuple(_IMAGENET.values()),
            resize="crop",
            source=partial(image_folders, folders=tuple(_IMAGENET), val_fraction=0.01),
            layout=("train/<wnid>/*.JPEG", "val/<wnid>/*.JPEG  (in the same 1,000 folders as the training images)"),
            origin="https://image-net.org/download (ILSVRC2012, Task 1 and 2; registration needed)",
        ),
        DatasetDescription(
            "imagenette",
            tuple(_IMAGENET[folder] for folder in class_names.IMAGENETTE_FOLDERS),
            resize="crop",
            source=imagenette,
            layout=("train/<wnid>/*.JPEG", "val/<wnid>/*.JPEG", f"(or both in {_IMAGENETTE_FOLDER}/)"),
            origin="https://github.com/fastai/imagenette (imagenette2-320.tgz)",
            download=partial(_fetch, data_set=datasets.Imagenette, splits=("train",), size="320px"),
        ),
        *(
            DatasetDescription(
                data_set.__name__.lower(),
                classes,
                resize="whole",
                source=partial(cifar, data_set=data_set, classes=classes),
                layout=(
                    *(f"{data_set.base_folder}/{name}" for name, _ in [*data_set.train_list, *data_set.test_list]),
                    f"{data_set.base_folder}/{data_set.meta['filename']}",
                    "(or train/<class>/*.png and test/<class>/*.png)",
                ),
                origin=f"{data_set.url} (unpacked)",
                download=partial(_fetch, data_set=data_set, splits=(True,)),
            )
            for data_set, classes in cifars
        ),
        DatasetDescription(
            "svhn",
            tuple("0123456789"),
            resize="whole",
            source=svhn,
            layout=("train_32x32.mat", "test_32x32.mat"),
            origin="http://ufldl.stanford.edu/housenumbers (format 2, cropped digits)",
            download=partial(_fetch, data_set=datasets.SVHN, splits=("train", "test")),
        ),
        DatasetDescription(
            "gtsrb",
            class_names.GTSRB,
            resize="whole",
            source=gtsrb,
            layout=(
                "gtsrb/GTSRB/Training/<00000 to 00042>/*.ppm",
                "gtsrb/GTSRB/Final_Test/Images/*.ppm",
                "gtsrb/GT-final_test.csv",
            ),
            origin="https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/published-archive.html "
            "(three archives, all unpacked in gtsrb/)",
            download=partial(_fetch, data_set=datasets.GTSRB, splits=("train", "test")),
        ),
        DatasetDescription(
            "flowers102",
            class_names.FLOWERS102,
            resize="crop",
            source=flowers102,
            layout=tuple(f"flowers-102/{file}" for file in ("jpg/image_*.jpg", "imagelabels.mat", "setid.mat")),
            origin="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ (102flowers.tgz unpacked, and two .mat files)",
            download=partial(_fetch, data_set=datasets.Flowers102, splits=("train",)),
        ),
    ]
