"""Data sets, their one preprocessing, and the LightningDataModule that loads them."""

from mrcert_pl.data.attacked import AttackedImages, AttackedSet
from mrcert_pl.data.attacked_facts import AttackedFacts
from mrcert_pl.data.attacked_header import AttackedSetHeader
from mrcert_pl.data.catalog import describe, names, register
from mrcert_pl.data.datamodule import ImageDataModule
from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.folders import ImageFiles, image_folders
from mrcert_pl.data.images import ImageError, read_image
from mrcert_pl.data.preprocessing import Preprocessing
from mrcert_pl.data.records import Record, Source, Split
from mrcert_pl.data.samples import ImageSplit, Sample, TrainingSplit

__all__ = [
    "AttackedFacts",
    "AttackedImages",
    "AttackedSet",
    "AttackedSetHeader",
    "DatasetDescription",
    "ImageDataModule",
    "ImageError",
    "ImageFiles",
    "ImageSplit",
    "Preprocessing",
    "Record",
    "Sample",
    "Source",
    "Split",
    "TrainingSplit",
    "describe",
    "image_folders",
    "names",
    "read_image",
    "register",
]
