"""Verdicts on own images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mrcert_pl.data.images import ImageError
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.defenders import Defender, OutputLevel
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.guard import Guard, GuardVerdict, Policy
from mrcert_pl.guard.base_model import device_named, device_of
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.tasks.announce import announce, announce_cost, described
from mrcert_pl.tasks.checks import check_choice, check_number
from mrcert_pl.tasks.progress import Track, untracked, within
from mrcert_pl.tasks.settings import ModelSettings
from mrcert_pl.tasks.subject import defender_of


@dataclass(frozen=True)
class PredictionSettings:
    """Settings of :func:`predict`.

    Attributes:
        images: image files.
        checkpoint: checkpoint of a training, or a safetensors file of ``mrcert convert``.
        model: classifier, instead of a checkpoint.
        defender: defender, or its name in the registry.
        patch: patch to defend against; default: that of the training.
        patches: total number of patches, for a defender by name.
        output: output level, from ``label`` to ``map``; a lower level needs fewer mutants.
        require: requirement of an accepted label, ``certificate`` or ``round_trip``.
        class_names: names of the classes; default: those in the checkpoint.
        exif: EXIF rotation of photos, ``apply`` or ``ignore``.
        resize: ``crop`` or ``whole``; default: that of the model's data set.
        stride: stride of the masks in windows, of votes in px; default: that of the training.
        batch_size: images per batch.
        token_budget: token budget per batch; default: derived from free device memory.
        device: ``auto``, ``cpu`` or ``cuda``.
        track: progress over the images.
    """

    images: Sequence[Path] = ()
    checkpoint: Path | None = None
    model: ModelSettings | None = None
    defender: Defender[Any] | str = "mrcert_sharp"
    patch: Shape | None = None
    patches: int = 2
    output: OutputLevel = OutputLevel.MAP
    require: Literal["certificate", "round_trip"] = "certificate"
    class_names: Sequence[str] | None = None
    exif: Literal["apply", "ignore"] = "apply"
    resize: Resize | None = None
    stride: int | tuple[int, int] | None = None
    batch_size: int = 8
    token_budget: int | None = None
    device: str = "auto"
    track: Track[Any] = field(default=untracked)

    def __post_init__(self) -> None:
        if self.patch is not None:
            PatchSpec(self.patch)
        check_number("batch_size", self.batch_size, 1)
        check_number("token_budget", self.token_budget, 1, optional=True)
        if self.resize is not None:
            check_choice("resize", self.resize, get_args(Resize))
        if isinstance(self.class_names, str) or not isinstance(self.class_names, Sequence | None):
            raise ConfigurationError(f"class_names must be a list of names, got {self.class_names!r}")
        check_choice("require", self.require, ("certificate", "round_trip"))


def guard_of(settings: PredictionSettings) -> Guard:
    """Return the guard that the settings describe: of a checkpoint, or around a classifier without one.

    Raises:
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        ConfigurationError: for settings that cannot work.
    """
    shared: dict[str, Any] = {
        "defender": defender_of(settings.defender, settings.patches),
        "patch": settings.patch,
        "class_names": settings.class_names,
        "policy": Policy(settings.require),
        "batch_size": settings.batch_size,
        "token_budget": settings.token_budget,
        "exif": settings.exif,
    }
    if settings.checkpoint is not None:
        return Guard.from_checkpoint(
            settings.checkpoint, resize=settings.resize, stride=settings.stride, device=settings.device, **shared
        )
    if settings.model is None or settings.patch is None:
        raise ConfigurationError(
            "give checkpoint=FILE (a best.ckpt of train.py, or a safetensors file of mrcert convert), or "
            "model=blackbox with model.backbone= and patch= for a classifier without one"
        )
    device = device_named(settings.device)
    names = settings.class_names
    classes = settings.model.arguments.get("num_classes", 1000) if names is None else len(names)
    arguments = {name: value for name, value in settings.model.arguments.items() if name != "num_classes"}
    model = ModelSettings(settings.model.name, arguments, settings.model.build).make_without_training(classes).eval()
    stride = 1 if settings.stride is None else settings.stride
    return Guard(model.to(device), resize=settings.resize or "crop", stride=stride, **shared)


def guard_on(device: str, settings: PredictionSettings) -> Guard:
    """Return the guard that the settings describe, on another device; a worker process can call it."""
    return guard_of(replace(settings, device=device))


def announce_prediction(settings: PredictionSettings, guard: Guard, folder: Path) -> None:
    """Log number of images, model, masks, device and folder of a prediction, and the cost of a long one."""
    mutants, device = guard.evaluator.mutants, device_of(guard.model)
    count = len(settings.images)
    about = [f"{count:,} image{'' if count == 1 else 's'}", *described(type(guard.model).__name__, mutants)]
    about.insert(2, f"defender {guard.defender.name}")
    announce(about, str(device), "32-true", folder)
    if isinstance(guard.model, BaseModel):
        announce_cost(guard.model, mutants, len(settings.images), settings.token_budget, device)


def predict(
    settings: PredictionSettings, guard: Guard | None = None
) -> Iterator[tuple[Path, GuardVerdict | ImageError]]:
    """Yield the verdict on every image, or the error for an unreadable one, in order and as soon as it is available.

    Args:
        settings: images, model and defender.
        guard: the guard; default: :func:`guard_of` the settings.

    Raises:
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        ConfigurationError: for settings that cannot work.
    """
    guard = guard or guard_of(settings)
    files = list(settings.images)
    finished = within(settings.track)
    guard.evaluator.on_progress = lambda fraction: finished(fraction * guard.batch_size)
    outcomes = settings.track(guard.each(files, settings.output), "Predicting", len(files))
    yield from zip(files, outcomes, strict=True)


__all__ = ["PredictionSettings", "announce_prediction", "guard_of", "predict"]
