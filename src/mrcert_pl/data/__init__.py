"""Data sets, their one preprocessing, and the LightningDataModule that serves them."""

from mrcert_pl.data.catalog import DatasetDescription, describe
from mrcert_pl.data.datamodule import ImageDataModule, Sample
from mrcert_pl.data.preprocessing import Preprocessing
from mrcert_pl.data.records import Record, Source

__all__ = [
    "DatasetDescription",
    "ImageDataModule",
    "Preprocessing",
    "Record",
    "Sample",
    "Source",
    "describe",
]
