"""What a data set consists of: records of images, in three splits."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from PIL import Image
from torch import Tensor

Split = Literal["train", "val", "test"]


class Record(NamedTuple):
    """One image of a data set: its id (stable over splits, subsets and runs), its label and its path."""

    id: int
    label: int
    path: str


@runtime_checkable
class Source(Protocol):
    """A data set that is open for reading."""

    def records(self, split: Split) -> Sequence[Record]:
        """Return the images of a split, ascending by id."""
        ...

    def image(self, record: Record) -> Image.Image | Tensor:
        """Return the image of a record, in any mode and size, or a tensor that was preprocessed before."""
        ...
