"""The data sets that we know, a short description each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrcert_pl.data.digits import Digits
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.data.records import Source
from mrcert_pl.errors import unknown


@dataclass(frozen=True)
class DatasetDescription:
    """What has to be known of a data set before any of its files are opened.

    Attributes:
        name: name in configurations and folders.
        classes: names of the classes, in the order of the labels.
        resize: how its images come to the size of the model, see :class:`mrcert_pl.data.Preprocessing`.
        open: makes the data set ready, from its folder if it has one.
    """

    name: str
    classes: tuple[str, ...]
    resize: Resize
    open: Callable[[Path | None], Source]


_DATASETS = {
    description.name: description
    for description in (DatasetDescription("digits", tuple("0123456789"), resize="whole", open=Digits),)
}


def describe(name: str) -> DatasetDescription:
    """The description of a data set.

    Raises:
        ConfigurationError: for an unknown name, with the known ones.
    """
    if name not in _DATASETS:
        raise unknown("data set", name, _DATASETS)
    return _DATASETS[name]
