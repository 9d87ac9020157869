"""Data sets, their one preprocessing, and the LightningDataModule that loads them."""

import importlib
from typing import TYPE_CHECKING, Any

from mrcert_pl.data.attacked import AttackedImages, AttackedSet
from mrcert_pl.data.attacked_facts import AttackedFacts
from mrcert_pl.data.attacked_header import AttackedSetHeader
from mrcert_pl.data.catalog import describe, names, register
from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.folders import ImageFiles, image_folders
from mrcert_pl.data.images import ImageError, read_image
from mrcert_pl.data.preprocessing import Preprocessing
from mrcert_pl.data.records import Record, Source, Split

if TYPE_CHECKING:
    from mrcert_pl.data.datamodule import ImageDataModule
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

_HOMES = {"ImageDataModule": "datamodule", "ImageSplit": "samples", "Sample": "samples", "TrainingSplit": "samples"}


def __getattr__(name: str) -> Any:
    # These need Lightning, which a guard does not wait for.
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
