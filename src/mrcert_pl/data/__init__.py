"""Data sets, their one preprocessing, and the LightningDataModule that serves them."""

from mrcert_pl.data.attacked import AttackedSet
from mrcert_pl.data.catalog import describe
from mrcert_pl.data.datamodule import AttackedDataModule, ImageDataModule
from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.images import ImageError
from mrcert_pl.data.preprocessing import Preprocessing
from mrcert_pl.data.records import Record, Source
from mrcert_pl.data.samples import ImageSplit, Sample, TrainingSplit

__all__ = [
    "AttackedDataModule",
    "AttackedSet",
    "DatasetDescription",
    "ImageDataModule",
    "ImageError",
    "ImageSplit",
    "Preprocessing",
    "Record",
    "Sample",
    "Source",
    "TrainingSplit",
    "describe",
]
