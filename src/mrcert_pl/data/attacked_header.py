"""What an attacked set says about itself: checked before anything is used of it.

An attacked set may come from anybody. Its header (``attack.json``) and the facts in its images are data: values of
checked types and ranges, which name nothing that is imported, fetched or opened without the user's word.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple, get_args

from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.errors import ConfigurationError, DataError
from mrcert_pl.geometry import PatchSpec

HEADER_FILE = "attack.json"
FORMAT = 1
MODEL_KINDS = {"blackbox": "BlackBox", "column_vit": "AblatedViT", "masked_vit": "MaskedViT", "vit_srf": "ViTSRF"}
"""Kinds of models that a header may name, and their classes in :mod:`mrcert_pl.models`."""

_MODULE = "mrcert_pl.models."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_ABOVE_IDS = 2**63
# Settings that only a training uses: they would load or fetch weights.
_START = {"pretrained": False, "weights": None, "head_rows": None}
# Arguments of timm.create_model that open files or the network.
_OPENS = ("cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "weights")


class InvalidValueError(DataError, ValueError):
    """A value that a header or a fact may not have; the caller adds the name of the file."""


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

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class AttackedFacts:
    """What the attack recorded about an image.

    Attributes:
        id: Id in the source.
        label: True label.
        path: Path in the source.
        placement: Location of the patch.
        loss: Loss of the model on the true label.
        clean_prediction: Label that the model gives to the image before the attack.
        prediction: Label that it gives to the patched image.
        success: Whether that is wrong.
        start: Restart that the patch comes from.
        step: Step of that restart.
    """

    id: int
    label: int
    path: str
    placement: PatchBox
    loss: float
    clean_prediction: int
    prediction: int
    success: bool
    start: int
    step: int

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "placement": self.placement._asdict()}


def trusted_path(text: str) -> Path | None:
    """Return a path that a file names if reading it needs no word of the user: one below the working directory.

    Absolute paths elsewhere, ``..``, ``~`` and Windows drives are not followed; such a path is read only if the user
    passes it on the command line.
    """
    path = Path(text)
    windows = PureWindowsPath(text)
    if not text.isprintable() or ".." in {*path.parts, *windows.parts} or text.startswith("~"):
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


def read_header(folder: Path) -> AttackedSetHeader:
    """Read what an attacked set was made by.

    Raises:
        DataError: if there is no attacked set of this version, or a value is not what it must be.
    """
    path = folder / HEADER_FILE
    try:
        header = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"there is no attacked set in {folder} (no {HEADER_FILE}); mrcert attack makes one") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); make the set again with mrcert attack") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(
            f"{path} is not the header of an attacked set of this version; make it again with mrcert attack"
        )
    try:
        return parse_header(header)
    except (InvalidValueError, ConfigurationError) as error:
        raise DataError(f"{path}: {error}; do not use this set unless you know where it comes from") from error


def parse_header(header: Mapping[str, Any]) -> AttackedSetHeader:
    """Check the content of ``attack.json``.

    Raises:
        InvalidValueError: for a value of another type or range.
        ConfigurationError: for a patch that is none.
    """
    made_from = _mapping(header.get("made_from"), "made_from")
    model = _mapping(made_from.get("model"), "made_from.model")
    classes = tuple(_text(name, "a class name") for name in _list(header.get("classes"), "classes"))
    images = tuple(
        _integer(each, "an id of images", below=_ABOVE_IDS) for each in _list(header.get("images"), "images")
    )
    for what, values in (("classes", classes), ("images", images)):
        if not values or len(set(values)) != len(values):
            raise InvalidValueError(f"{what} must be a list of different values, and not empty")
    kind, settings = _model(model)
    return AttackedSetHeader(
        source=_name(header.get("dataset"), "dataset"),
        classes=classes,
        images=images,
        quantize=_boolean(header.get("quantize"), "quantize"),
        patch=_patch(plain(made_from.get("patch"), "made_from.patch")),
        model_name=_name(model.get("name"), "made_from.model.name"),
        model_kind=kind,
        model_settings=settings,
        # Empty for weights without a file.
        checkpoint=""
        if made_from.get("checkpoint") == ""
        else _text(made_from.get("checkpoint"), "made_from.checkpoint"),
        attack=plain(_mapping(header.get("attack", {}), "attack"), "attack"),
        model=plain(_mapping(header.get("model", {}), "model"), "model"),
        weights_sha256=_name(header.get("weights_sha256", ""), "weights_sha256", optional=True),
        precision=_name(header.get("precision", ""), "precision", optional=True),
        device=_name(header.get("device", ""), "device", optional=True),
        source_settings=_source(_mapping(made_from.get("dataset", {}), "made_from.dataset")),
    )


def _patch(size: Any) -> int | str:
    """Return a patch as text (or the side of a square), parsed and written again."""
    size = _tuples(size)
    if isinstance(size, bool) or not isinstance(size, int | str | tuple):
        raise InvalidValueError(f"can't read the patch size {_shown(size)}")
    parsed = PatchSpec(size).size
    several = isinstance(parsed, tuple) and any(not isinstance(side, int) for side in parsed)
    shapes: list[Any] = list(parsed) if several and isinstance(parsed, tuple) else [parsed]
    if len(shapes) == 1 and isinstance(shapes[0], int):
        return shapes[0]
    return ",".join("x".join(map(str, shape)) if isinstance(shape, tuple) else str(shape) for shape in shapes)


def _tuples(size: Any) -> Any:
    return tuple(_tuples(each) for each in size) if isinstance(size, list) else size


def _source(given: Mapping[str, Any]) -> dict[str, str]:
    settings = {
        name: _text(given[name], f"made_from.dataset.{name}")
        for name in ("root", "labels", "resize")
        if given.get(name) is not None
    }
    if settings.get("resize", "crop") not in get_args(Resize):
        raise InvalidValueError(f"made_from.dataset.resize must be one of {', '.join(get_args(Resize))}")
    return settings


def _model(model: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return kind and settings of a model; nothing of one that is not ours or would open files or the network."""
    settings = plain({key: value for key, value in model.items() if key not in ("name", "_target_")}, "made_from.model")
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
    facts = _mapping(parse_json(_text(text, "the facts")), "the facts")
    box = _mapping(facts.get("placement"), "placement")
    placement = PatchBox(*(_integer(box.get(name), f"placement.{name}") for name in PatchBox._fields))
    labels = {
        name: _integer(facts.get(name), name, below=len(header.classes))
        for name in ("label", "clean_prediction", "prediction")
    }
    if min(placement.height, placement.width) < 1 or any(
        start + side > whole for start, side, whole in zip(placement[:2], placement[2:], size, strict=True)
    ):
        raise InvalidValueError(f"the placement {tuple(placement)} is not inside the image of {size[0]} x {size[1]} px")
    result = AttackedFacts(
        id=_integer(facts.get("id"), "id", below=_ABOVE_IDS),
        path=_text(facts.get("path"), "path"),
        placement=placement,
        loss=_number(facts.get("loss"), "loss"),
        success=_boolean(facts.get("success"), "success"),
        start=_integer(facts.get("start"), "start", below=_ABOVE_IDS),
        step=_integer(facts.get("step"), "step", below=_ABOVE_IDS),
        **labels,
    )
    if result.id != file_id:
        raise InvalidValueError(f"it is the image {result.id} under the id {file_id}")
    if result.success != (result.prediction != result.label):
        raise InvalidValueError(
            f"success={result.success} contradicts label {result.label} and prediction {result.prediction}"
        )
    return result


def parse_json(text: str) -> Any:
    """Parse JSON without NaN and infinity.

    Raises:
        ValueError: for anything else, nested too deeply included.
    """

    def refuse(name: str) -> None:
        raise InvalidValueError(f"{name} is no number")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise InvalidValueError("it is nested too deeply") from error


def plain(value: Any, where: str) -> Any:
    """Check that a value consists of scalars, lists and mappings, without any instruction for Hydra or OmegaConf.

    Raises:
        InvalidValueError: for a key that starts with ``_`` (``_target_``), an interpolation (``${``) or another type.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("_") or "${" in key:
                raise InvalidValueError(f"{where} has the key {key!r}, which is not allowed")
        return {key: plain(each, f"{where}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, where) for each in value]
    if isinstance(value, str):
        if "${" in value:
            raise InvalidValueError(f"{where} has the interpolation {value!r}, which is not allowed")
        return value
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InvalidValueError(f"{where} must be a plain value, got {type(value).__name__}")


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValueError(f"{what} must be a mapping, got {_shown(value)}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidValueError(f"{what} must be a list, got {_shown(value)}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidValueError(f"{what} must be printable text, got {_shown(value)}")
    return value


def _name(value: Any, what: str, optional: bool = False) -> str:
    if optional and value == "":
        return ""
    if not _NAME.fullmatch(_text(value, what)):
        raise InvalidValueError(f"{what} must consist of letters, digits, '.', '_', '+' and '-', got {_shown(value)}")
    return value


def _integer(value: Any, what: str, below: int = 2**31) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise InvalidValueError(f"{what} must be a whole number from 0 to {below - 1}, got {_shown(value)}")
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidValueError(f"{what} must be a finite number, got {_shown(value)}")
    return float(value)


def _boolean(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError(f"{what} must be true or false, got {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
