"""The data sets that we know, a short description each."""

from functools import partial
from pathlib import Path

from torchvision.datasets import CIFAR10, CIFAR100, SVHN

from mrcert_pl.data import class_names, flowers, gtsrb
from mrcert_pl.data.attacked import describe_attacked
from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.digits import Digits
from mrcert_pl.data.download import Archive, Download
from mrcert_pl.data.folders import image_folders
from mrcert_pl.data.standard import cifar, svhn
from mrcert_pl.errors import unknown

_IMAGENET = class_names.imagenet()
_GTSRB_URL = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"
_FLOWERS_URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"

# Addresses and MD5 sums are torchvision's.
_DESCRIPTIONS = (
    DatasetDescription("digits", tuple("0123456789"), resize="whole", source=Digits),
    DatasetDescription(
        "imagenet",
        tuple(_IMAGENET.values()),
        resize="crop",
        source=partial(image_folders, folders=tuple(_IMAGENET), val_share=0.01),
        layout=(
            "train/<wnid>/*.JPEG",
            "val/<wnid>/*.JPEG  (in the same 1,000 folders as the training images)",
        ),
        origin="https://image-net.org/download (ILSVRC2012, Task 1 and 2; registration needed)",
    ),
    DatasetDescription(
        "imagenette",
        tuple(_IMAGENET[folder] for folder in class_names.IMAGENETTE_FOLDERS),
        resize="crop",
        source=partial(image_folders, folders=class_names.IMAGENETTE_FOLDERS, val_share=0.05),
        layout=("train/<wnid>/*.JPEG", "val/<wnid>/*.JPEG"),
        origin="https://github.com/fastai/imagenette (imagenette2-320.tgz)",
        download=Download(
            (
                Archive(
                    "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3"
                ),
            ),
            makes=("train", "val"),
            top="imagenette2-320",
        ),
    ),
    *(
        DatasetDescription(
            name,
            classes,
            resize="whole",
            source=partial(cifar, data_set=data_set, classes=classes, val_share=0.05),
            layout=(
                f"{data_set.base_folder}/{data_set.train_list[0][0]}, ...  (the Python version), or",
                "train/<class>/*.png and test/<class>/*.png",
            ),
            origin=f"{data_set.url} (unpacked)",
            download=Download((Archive(data_set.url, data_set.tgz_md5),), makes=(data_set.base_folder,)),
        )
        for name, data_set, classes in (
            ("cifar10", CIFAR10, class_names.CIFAR10),
            ("cifar100", CIFAR100, class_names.CIFAR100),
        )
    ),
    DatasetDescription(
        "svhn",
        tuple("0123456789"),
        resize="whole",
        source=partial(svhn, val_share=0.05),
        layout=("train_32x32.mat", "test_32x32.mat"),
        origin="http://ufldl.stanford.edu/housenumbers (format 2, cropped digits)",
        download=Download(
            tuple(Archive(SVHN.split_list[split][0], SVHN.split_list[split][2]) for split in ("train", "test")),
            makes=("train_32x32.mat", "test_32x32.mat"),
        ),
    ),
    DatasetDescription(
        "gtsrb",
        class_names.GTSRB,
        resize="whole",
        source=partial(gtsrb.gtsrb, classes=len(class_names.GTSRB), val_share=0.1),
        layout=(f"{gtsrb.TRAINING}/<00000 to 00042>/*.ppm", f"{gtsrb.TESTING}/*.ppm", gtsrb.TEST_LABELS),
        origin=f"{_GTSRB_URL}/published-archive.html (three archives, all unpacked in gtsrb/)",
        download=Download(
            (
                Archive(f"{_GTSRB_URL}/GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478", "gtsrb"),
                Archive(f"{_GTSRB_URL}/GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185", "gtsrb"),
                Archive(f"{_GTSRB_URL}/GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5", "gtsrb"),
            ),
            makes=("gtsrb",),
        ),
    ),
    DatasetDescription(
        "flowers102",
        class_names.FLOWERS102,
        resize="crop",
        source=flowers.flowers102,
        layout=tuple(f"{flowers.FOLDER}/{file}" for file in ("jpg/image_*.jpg", flowers.LABELS[0], flowers.SPLITS[0])),
        origin=f"{_FLOWERS_URL}/ (102flowers.tgz unpacked, and the two .mat files)",
        download=Download(
            (
                Archive(f"{_FLOWERS_URL}/102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", flowers.FOLDER),
                *(
                    Archive(f"{_FLOWERS_URL}/{name}", md5, flowers.FOLDER)
                    for name, md5 in (flowers.LABELS, flowers.SPLITS)
                ),
            ),
            makes=(flowers.FOLDER,),
        ),
    ),
)
_DATASETS = {description.name: description for description in _DESCRIPTIONS}


def describe(name: str, folder: str | Path | None = None) -> DatasetDescription:
    """The description of a data set.

    Args:
        name: ``attacked``, or a data set of the catalogue.
        folder: of the attacked set, which knows its own classes.

    Raises:
        ConfigurationError: for an unknown name, with the known ones.
        DataError: if there is no attacked set in the folder.
    """
    if name == "attacked":
        return describe_attacked(folder)
    if name not in _DATASETS:
        raise unknown("data set", name, [*_DATASETS, "attacked"])
    return _DATASETS[name]
