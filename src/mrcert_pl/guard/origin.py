"""What a checkpoint states about its training, as checked values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from mrcert_pl.data import describe
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.errors import CheckpointError
from mrcert_pl.plain import FieldError, Record, checked

Stride: TypeAlias = int | tuple[int, int]
Start: TypeAlias = Literal["hub", "file", "random"]


@dataclass(frozen=True)
class Origin(Record):
    """Facts of a training that a guard needs; ``None`` where the checkpoint does not state them.

    Attributes:
        patch: Patch size.
        classes: Class names.
        resize: Method that resized the images.
        stride: Stride of the masks.
        dataset: Name of the data set.
        start: Weights that the training started from: those of the backbone's tag (``hub``), a ``file`` or ``random``.
    """

    patch: str | int | None = None
    classes: list[str] | None = None
    resize: Resize = "crop"
    stride: Stride = 1
    dataset: str | None = None
    start: Start | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any], path: Path) -> "Origin":
        """Check the facts of a checkpoint; earlier versions state the data set instead of its resizing.

        Raises:
            CheckpointError: for a value of another type.
        """
        try:
            origin: Origin = checked(cls, {f.name: facts[f.name] for f in fields(cls) if facts.get(f.name) is not None})
        except FieldError as error:
            raise CheckpointError(f"{path} states {error}") from error
        if origin.dataset is None or facts.get("resize") is not None:
            return origin
        return replace(origin, resize=describe(origin.dataset).resize)
