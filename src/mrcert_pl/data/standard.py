"""Data sets whose pictures are rows of one array: CIFAR-10, CIFAR-100 and SVHN, read by torchvision."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import CIFAR10, SVHN

from mrcert_pl.data.folders import image_folders
from mrcert_pl.data.official import check_official
from mrcert_pl.data.records import Record, Source, Split
from mrcert_pl.data.splits import held_out
from mrcert_pl.errors import DataError


class ImageArrays:
    """Pictures in two arrays ``[image, height, width, channel]``, to train and to test on, in their official order.

    The id of a training image is its position, of a test image its position after all training images.

    Args:
        train: pictures and labels to train on, and to choose a model by.
        test: pictures and labels that results are reported on.
        val_share: share of the training images that a model is chosen by.
    """

    def __init__(
        self, train: tuple[np.ndarray, Sequence[int]], test: tuple[np.ndarray, Sequence[int]], val_share: float
    ) -> None:
        self._arrays = (train[0], test[0])
        training = [Record(i, int(label), f"train/{i}") for i, label in enumerate(train[1])]
        testing = [Record(len(training) + i, int(label), f"test/{i}") for i, label in enumerate(test[1])]
        rest, val = held_out(training, val_share)
        self._records: dict[Split, list[Record]] = {"train": rest, "val": val, "test": testing}

    def records(self, split: Split) -> Sequence[Record]:
        return self._records[split]

    def image(self, record: Record) -> Image.Image:
        train, test = self._arrays
        pixels = train[record.id] if record.id < len(train) else test[record.id - len(train)]
        return Image.fromarray(np.ascontiguousarray(pixels))


def cifar(root: Path, data_set: type[CIFAR10], classes: Sequence[str], val_share: float) -> Source:
    """CIFAR-10 or CIFAR-100: the official Python version or, without that, ``train`` and ``test`` image folders.

    Raises:
        DataError: when neither is there, or a file is damaged.
    """
    folder = root / data_set.base_folder
    if not folder.is_dir() and (root / "train").is_dir():
        return image_folders(root, classes, val_share, test="test")
    # The files are pickled: nothing but the official ones is ever opened.
    for name, md5 in [*data_set.train_list, *data_set.test_list, (data_set.meta["filename"], data_set.meta["md5"])]:
        check_official(folder / name, md5)
    train, test = data_set(str(root), train=True), data_set(str(root), train=False)
    if tuple(train.classes) != tuple(classes):
        raise DataError(f"{folder / data_set.meta['filename']} names other classes than the data set's description")
    return ImageArrays((train.data, train.targets), (test.data, test.targets), val_share)


def svhn(root: Path, val_share: float) -> Source:
    """SVHN, cropped digits. The ``extra`` images are not used.

    Raises:
        DataError: when a file is missing or damaged.
    """

    def read(split: str) -> tuple[np.ndarray, Sequence[int]]:
        _, name, md5 = SVHN.split_list[split]
        check_official(root / name, md5)
        data = SVHN(str(root), split)
        return data.data.transpose(0, 2, 3, 1), data.labels.tolist()

    return ImageArrays(read("train"), read("test"), val_share)
