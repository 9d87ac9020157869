"""What a checkpoint states about its training, as checked values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcert_pl.data import describe
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.errors import CheckpointError


@dataclass(frozen=True)
class Origin:
    """Facts of a training that a guard needs; ``None`` where the checkpoint does not state them.

    Attributes:
        patch: Patch size.
        classes: Class names.
        resize: Method that resized the images.
        stride: Stride of the masks.
    """

    patch: str | int | None
    classes: list[str] | None
    resize: Resize
    stride: int | tuple[int, int]

    @classmethod
    def of(cls, facts: Mapping[str, Any], path: Path) -> "Origin":
        """Check the facts of a checkpoint; earlier versions state the data set instead of its resizing.

        Raises:
            CheckpointError: for a value of another type.
        """

        def checked(name: str, right: bool, expected: str) -> None:
            if not right:
                raise CheckpointError(f"{path} states {name}={facts.get(name)!r}, which should be {expected}")

        patch, classes, stride = facts.get("patch"), facts.get("classes"), facts.get("stride", 1)
        dataset, resize = facts.get("dataset"), facts.get("resize")
        checked("patch", patch is None or is_whole(patch) or isinstance(patch, str), "a patch size")
        checked("classes", classes is None or is_names(classes), "a list of names")
        checked("stride", is_stride(stride), "a whole number or two")
        checked("dataset", dataset is None or isinstance(dataset, str), "a name")
        if resize is None:
            resize = "crop" if dataset is None else describe(dataset).resize
        checked("resize", isinstance(resize, str), "a method to resize")
        return cls(patch, classes, resize, stride if isinstance(stride, int) else (stride[0], stride[1]))


def is_whole(value: object) -> bool:
    """True for an integer that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_names(value: object) -> bool:
    """True for a list of strings."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def is_stride(value: object) -> bool:
    """True for an integer or a list of two."""
    return is_whole(value) or (isinstance(value, list | tuple) and len(value) == 2 and all(map(is_whole, value)))
