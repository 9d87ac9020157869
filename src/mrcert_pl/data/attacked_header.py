"""What an attacked set says about itself: checked before anything is used of it.

An attacked set may come from anybody. Its header (``attack.json``) and the facts in its images are data: values of
checked types and ranges, which name nothing that is imported, fetched or opened without the user's word.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field

from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.errors import ConfigurationError, DataError, short
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.plain import FieldError, Record, checked, checked_json

HEADER_FILE = "attack.json"
FORMAT = 1
MODEL_KINDS = {"blackbox": "BlackBox", "column_vit": "AblatedViT", "masked_vit": "MaskedViT", "vit_srf": "ViTSRF"}
"""Kinds of models that a header may name, and their classes in :mod:`mrcert_pl.models`."""

_MODULE = "mrcert_pl.models."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
# Unknown fields of a file are not read.
_OPEN = Record.__pydantic_config__ | ConfigDict(extra="ignore")
# Settings that only a training uses: they would load or fetch weights.
_START = {"pretrained": False, "weights": None, "head_rows": None}
# Arguments of timm.create_model that open files or the network.
_OPENS = ("cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "weights")


def _printable(text: str) -> str:
    if not text or not text.isprintable():
        raise FieldError("", f"must be printable text, got {short(repr(text))}")
    return text


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or len(set(values)) != len(values):
        raise FieldError("", "must be a list of different values, and not empty")
    return values


def plain(value: Any) -> Any:
    """Check that a value consists of scalars, lists and mappings, without any instruction for Hydra or OmegaConf.

    Raises:
        FieldError: for a key that starts with ``_`` (``_target_``), an interpolation (``${``) or another type.
    """
    if isinstance(value, Mapping):
        if bad := [key for key in value if not isinstance(key, str) or key.startswith("_") or "${" in key]:
            raise FieldError("", f"has the key {bad[0]!r}, which is not allowed")
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, str) and "${" in value:
        raise FieldError("", f"has the interpolation {value!r}, which is not allowed")
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise FieldError("", f"must hold plain values, got {short(repr(value))}")


_Text = Annotated[str, AfterValidator(_printable)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
_NameOrNone = Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.+-]*)?$")]
_Plain = Annotated[Mapping[str, Any], AfterValidator(plain)]
_Id = Annotated[int, Field(ge=0, lt=2**63)]
_Number = Annotated[int, Field(ge=0, lt=2**31)]
_Side = Annotated[int, Field(ge=1, lt=2**31)]


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
        model: What the model says about itself.
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
        target = f"{_MODULE}{MODEL_KINDS[self.model_kind]}"
        return {"name": self.model_name, "_target_": target, **self.model_settings}

    def checkpoint_path(self) -> Path:
        """Return the checkpoint that may be read without the user's word.

        Raises:
            DataError: for a path that is not below the working directory.
        """
        return _below_here(self.checkpoint, "checkpoint")

    def source_arguments(self) -> dict[str, Any]:
        """Return the arguments of the data module for the images before the attack.

        Raises:
            DataError: for a folder or a table that is not below the working directory.
        """
        return {
            name: value if name == "resize" else _below_here(value, f"data set's {name}")
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


class PatchBox(NamedTuple):
    """Top left pixel and size of a patch in px."""

    top: _Number
    left: _Number
    height: _Side
    width: _Side


@dataclass(frozen=True)
class AttackedFacts(Record):
    """What the attack recorded about an image.

    Attributes:
        id: Id in the source.
        label: True label.
        path: Path in the source.
        placement: Location of the patch.
        loss: Score of the attack; of an attack on the base model its loss on the true label.
        clean_prediction: Label that the model gives to the image before the attack.
        prediction: Label that it gives to the patched image.
        success: Whether that is wrong.
        start: Restart that the patch comes from.
        step: Step of that restart.
    """

    __pydantic_config__ = _OPEN

    id: _Id
    label: _Number
    path: _Text
    placement: PatchBox
    loss: float
    clean_prediction: _Number
    prediction: _Number
    success: bool
    start: _Id
    step: _Id

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "placement": self.placement._asdict()}


def trusted_path(text: str) -> Path | None:
    """Return a path that a file names if reading it needs no word of the user: one below the working directory.

    Absolute paths elsewhere, ``..``, ``~``, Windows drives and interpolations (``${...}``) are not followed; such a
    path is read only if the user passes it on the command line.
    """
    path = Path(text)
    windows = PureWindowsPath(text)
    if not text.isprintable() or ".." in {*path.parts, *windows.parts} or text.startswith("~") or "${" in text:
        return None
    if not path.is_absolute():
        return None if windows.drive or windows.root else path
    return path if path.is_relative_to(Path.cwd()) else None


def _below_here(text: str, what: str) -> Path:
    if (path := trusted_path(text)) is None:
        raise DataError(
            f"the attacked set names the {what} {text!r}, which is not below the working directory and so is not read; "
            f"give it yourself if you trust it"
        )
    return path


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

    __pydantic_config__ = _OPEN

    root: _Text | None = None
    labels: _Text | None = None
    resize: Resize | None = None


@dataclass(frozen=True)
class _MadeFrom(Record):
    """``made_from`` of a header."""

    __pydantic_config__ = _OPEN

    model: Mapping[str, Any]
    patch: Annotated[Any, AfterValidator(_patch)]
    checkpoint: _Text | Literal[""]  # empty for weights without a file
    dataset: _Source = _Source()


@dataclass(frozen=True)
class _Content(Record):
    """``attack.json``."""

    __pydantic_config__ = _OPEN

    format: Literal[1]
    dataset: _Name
    classes: Annotated[tuple[_Text, ...], AfterValidator(_distinct)]
    images: Annotated[tuple[_Id, ...], AfterValidator(_distinct)]
    quantize: bool
    made_from: _MadeFrom
    attack: _Plain = field(default_factory=dict)
    model: _Plain = field(default_factory=dict)
    weights_sha256: _NameOrNone = ""
    precision: _NameOrNone = ""
    device: _NameOrNone = ""

    def header(self) -> AttackedSetHeader:
        kind, settings = _model(self.made_from.model)
        return AttackedSetHeader(
            source=self.dataset,
            classes=self.classes,
            images=self.images,
            quantize=self.quantize,
            patch=self.made_from.patch,
            model_name=checked(_Name, self.made_from.model.get("name"), "made_from.model.name"),
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
    """Read what an attacked set was made by.

    Raises:
        DataError: if there is no attacked set of this version, or a value is not what it must be.
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


def _model(model: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return kind and settings of a model; nothing of one that is not ours or would open files or the network."""
    settings = plain({key: value for key, value in model.items() if key not in ("name", "_target_")})
    settings |= {key: value for key, value in _START.items() if key in settings}
    kinds = {kind: kind for kind in MODEL_KINDS} | {f"{_MODULE}{name}": kind for kind, name in MODEL_KINDS.items()}
    kind = kinds.get(str(model.get("_target_", model.get("name"))), "")
    return (kind, settings) if kind and _is_closed(settings) else ("", {})


def _is_closed(settings: Mapping[str, Any]) -> bool:
    """Whether settings build a model without a file and without the network."""
    backbone = settings.get("backbone")
    # A tag of timm's: with a scheme ("hf-hub:", "local-dir:") timm asks the network or opens a folder.
    if backbone is not None and not (isinstance(backbone, str) and _NAME.fullmatch(backbone)):
        return False
    return not any(_opens(value) for key, value in settings.items() if key not in _START)


def _opens(value: Any) -> bool:
    """Whether a mapping has an argument of timm's that opens files or the network."""
    if isinstance(value, list):
        return any(map(_opens, value))
    return isinstance(value, Mapping) and any(key in _OPENS or _opens(each) for key, each in value.items())


def parse_facts(text: object, file_id: int, header: AttackedSetHeader, size: tuple[int, int]) -> AttackedFacts:
    """Check what a file of an attacked set says about its image.

    Args:
        text: JSON.
        file_id: Id in the file's name.
        header: Header of the set.
        size: Height and width of the image in px.

    Raises:
        ValueError: for malformed JSON, or a value that is not what it must be.
    """
    if not isinstance(text, str):
        raise FieldError("", "it has no facts about its image")
    result: AttackedFacts = checked_json(AttackedFacts, text)
    for name in ("label", "clean_prediction", "prediction"):
        if (label := getattr(result, name)) >= len(header.classes):
            raise FieldError(name, f"must be less than {len(header.classes)}, got {label}")
    placement = result.placement
    if any(start + side > whole for start, side, whole in zip(placement[:2], placement[2:], size, strict=True)):
        raise FieldError("placement", f"{tuple(placement)} is not inside the image of {size[0]} x {size[1]} px")
    if result.id != file_id:
        raise FieldError("", f"it is the image {result.id} under the id {file_id}")
    if result.success != (result.prediction != result.label):
        raise FieldError(
            "success", f"{result.success} contradicts label {result.label} and prediction {result.prediction}"
        )
    return result
