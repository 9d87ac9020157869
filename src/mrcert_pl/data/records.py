"""What a data set is made of: records of images, in three splits."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from PIL import Image
from torch import Tensor

Split = Literal["train", "val", "test"]


class Record(NamedTuple):
    """One image of a data set: its id (stable over splits, subsets and runs), its label and where it is from."""

    id: int
    label: int
    path: str


@runtime_checkable
class Source(Protocol):
    """A data set that is ready to be read."""

    def records(self, split: Split) -> Sequence[Record]:
        """The images of a split, ascending by id."""
        ...

    def image(self, record: Record) -> Image.Image | Tensor:
        """The picture of a record, in any mode and size, or the image that a model gets."""
        ...
