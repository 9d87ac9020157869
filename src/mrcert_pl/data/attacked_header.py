"""Header of an attacked set: how it was made, checked before anything is used of it.

An attacked set is untrusted input. Its header (``attack.json``) and the facts in its images are data: values of
checked types and ranges, which name nothing that is imported, fetched or opened without the user's confirmation.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from mrcert_pl.data.attacked_facts import AttackedFacts, PatchBox, parse_facts
from mrcert_pl.data.attacked_model import MODEL_KINDS, model_of, target_of
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.data.trusted_paths import below_here, trusted_path
from mrcert_pl.data.untrusted_values import OPEN, Id, Name, NameOrNone, Plain, Text, distinct, plain
from mrcert_pl.errors import ConfigurationError, DataError, short
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.plain import FieldError, Record, checked, checked_json

__all__ = [
    "FORMAT",
    "HEADER_FILE",
    "MODEL_KINDS",
    "AttackedFacts",
    "AttackedSetHeader",
    "PatchBox",
    "parse_facts",
    "plain",
    "read_header",
    "trusted_path",
]

HEADER_FILE = "attack.json"
FORMAT = 1


@dataclass(frozen=True)
class AttackedSetHeader:
    """Header of an attacked set.

    Attributes:
        source: Name of the data set that the images come from.
        classes: Names of its classes, in the order of the labels.
        images: Ids of the images that the set consists of.
        quantize: Whether pixels are on the 8-bit grid (PNG) or floating-point numbers (safetensors).
        patch: Patch of the attack's configuration: what :class:`mrcert_pl.geometry.PatchSpec` takes, in digits, ``x``,
            ``,``, ``.`` and ``%`` only.
        model_name: Name of the attacked model in configurations.
        model_kind: One of :data:`MODEL_KINDS`; empty for any other model, of which nothing is taken from a header.
        model_settings: Arguments of the model: plain values, none of which loads or fetches anything.
        checkpoint: Checkpoint of the attacked weights as the attack was given it, see :func:`trusted_path`.
        attack: Settings of the attack.
        model: Description of the model.
        weights_sha256: Digest of the attacked weights.
        precision: Precision of the attack.
        device: Type of the device of the attack.
        source_settings: ``root``, ``labels`` and ``resize`` of the source, as far as the attack was given them.
    """

    source: str
    classes: tuple[str, ...]
    images: tuple[int, ...]
    quantize: bool
    patch: int | str
    model_name: str
    model_kind: str
    model_settings: Mapping[str, Any]
    checkpoint: str
    attack: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    precision: str = ""
    device: str = ""
    source_settings: Mapping[str, str] = field(default_factory=dict)

    def model_config(self) -> dict[str, Any]:
        """Return the configuration of the attacked model.

        Raises:
            DataError: if its kind is none of :data:`MODEL_KINDS`, or its settings would open files or the network.
        """
        if not self.model_kind:
            raise DataError(
                f"the attacked set names a model {self.model_name!r} that is not taken from a file; "
                "give model= and checkpoint= yourself"
            )
        return {"name": self.model_name, "_target_": target_of(self.model_kind), **self.model_settings}

    def checkpoint_path(self) -> Path:
        """Return the checkpoint if it may be read without the user's confirmation.

        Raises:
            DataError: for a path that is not below the working directory.
        """
        return below_here(self.checkpoint, "checkpoint")

    def source_arguments(self) -> dict[str, Any]:
        """Return the arguments of the data module for the images before the attack.

        Raises:
            DataError: for a folder or a table that is not below the working directory.
        """
        return {
            name: value if name == "resize" else below_here(value, f"data set's {name}")
            for name, value in self.source_settings.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``attack.json``."""
        return {
            "format": FORMAT,
            "dataset": self.source,
            "classes": list(self.classes),
            "images": list(self.images),
            "quantize": self.quantize,
            "attack": dict(self.attack),
            "model": dict(self.model),
            "weights_sha256": self.weights_sha256,
            "precision": self.precision,
            "device": self.device,
            "made_from": {
                "model": self.model_config() if self.model_kind else {"name": self.model_name},
                "patch": self.patch,
                "checkpoint": self.checkpoint,
                "dataset": dict(self.source_settings),
            },
        }


def _patch(size: Any) -> int | str:
    """Return a patch as text (or the side of a square), parsed and written again."""
    size = _tuples(plain(size))
    if isinstance(size, bool) or not isinstance(size, int | str | tuple):
        raise FieldError("", f"can't read the patch size {short(repr(size))}")
    parsed = PatchSpec(size).size
    several = isinstance(parsed, tuple) and any(not isinstance(side, int) for side in parsed)
    shapes: list[Any] = list(parsed) if several and isinstance(parsed, tuple) else [parsed]
    if len(shapes) == 1 and isinstance(shapes[0], int):
        return shapes[0]
    return ",".join("x".join(map(str, shape)) if isinstance(shape, tuple) else str(shape) for shape in shapes)


def _tuples(size: Any) -> Any:
    return tuple(_tuples(each) for each in size) if isinstance(size, list) else size


@dataclass(frozen=True)
class _Source(Record):
    """``made_from.dataset`` of a header."""

    __pydantic_config__ = OPEN

    root: Text | None = None
    labels: Text | None = None
    resize: Resize | None = None


@dataclass(frozen=True)
class _MadeFrom(Record):
    """``made_from`` of a header."""

    __pydantic_config__ = OPEN

    model: Mapping[str, Any]
    patch: Annotated[Any, AfterValidator(_patch)]
    checkpoint: Text | Literal[""]  # empty for weights without a file
    dataset: _Source = _Source()


@dataclass(frozen=True)
class _Content(Record):
    """``attack.json``."""

    __pydantic_config__ = OPEN

    format: Literal[1]
    dataset: Name
    classes: Annotated[tuple[Text, ...], AfterValidator(distinct)]
    images: Annotated[tuple[Id, ...], AfterValidator(distinct)]
    quantize: bool
    made_from: _MadeFrom
    attack: Plain = field(default_factory=dict)
    model: Plain = field(default_factory=dict)
    weights_sha256: NameOrNone = ""
    precision: NameOrNone = ""
    device: NameOrNone = ""

    def header(self) -> AttackedSetHeader:
        kind, settings = model_of(self.made_from.model)
        return AttackedSetHeader(
            source=self.dataset,
            classes=self.classes,
            images=self.images,
            quantize=self.quantize,
            patch=self.made_from.patch,
            model_name=checked(Name, self.made_from.model.get("name"), "made_from.model.name"),
            model_kind=kind,
            model_settings=settings,
            checkpoint=self.made_from.checkpoint,
            attack=self.attack,
            model=self.model,
            weights_sha256=self.weights_sha256,
            precision=self.precision,
            device=self.device,
            source_settings={
                name: value for name, value in asdict(self.made_from.dataset).items() if value is not None
            },
        )


def read_header(folder: Path) -> AttackedSetHeader:
    """Read the header of an attacked set.

    Raises:
        DataError: if there is no attacked set of this version, or a value is invalid.
    """
    path = folder / HEADER_FILE
    try:
        content: _Content = checked_json(_Content, path.read_bytes())
        return content.header()
    except OSError as error:
        raise DataError(f"there is no attacked set in {folder} (no {HEADER_FILE}); mrcert attack makes one") from error
    except (FieldError, ConfigurationError) as error:
        raise DataError(
            f"{path}: {error}; make the set again with mrcert attack, use none of unknown origin"
        ) from error
