"""Subject of a task: base model with weights, patch, mutants and images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcert_pl.data import DatasetDescription
from mrcert_pl.defenders import Defender, registry
from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.models.checkpoints import FREE_SETTINGS, Checkpoint, read_checkpoint, restore, weights_digest
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.models.rebuild import rebuild
from mrcert_pl.results.schema import Environment
from mrcert_pl.tasks.checks import check_number, check_stride
from mrcert_pl.tasks.settings import DatasetSettings, ModelSettings, RunSettings


@dataclass(frozen=True)
class SubjectSettings:
    """Settings of every task on a trained model.

    The checkpoint states its model, classes, patch and stride. The arguments in ``required`` must agree with it.

    Attributes:
        checkpoint: checkpoint of a training, or a safetensors file of ``mrcert convert``; default: the weights that
            ``model`` names.
        model: base model; required without a checkpoint, and for a class outside the package.
        required: arguments of the model, compared with those of the checkpoint; ``views`` is taken in place of its own.
        made_by: command that creates the checkpoint, for the error if it is missing.
        dataset: images.
        patch: patch to defend against; default: that of the training.
        patches: total number of patches, before and after certification.
        stride: stride of the masks in windows, of votes in px; default: that of the training.
        run: folder, seed and record of the run.
    """

    checkpoint: Path | None = None
    model: ModelSettings | BaseModel | None = None
    required: Mapping[str, Any] = field(default_factory=dict)
    made_by: str | None = None
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    patch: Shape | None = None
    patches: int = 2
    stride: int | tuple[int, int] | None = None
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        check_number("patches", self.patches, 1)
        check_stride(self.stride, optional=True)
        if self.patch is not None:
            PatchSpec(self.patch)


@dataclass(frozen=True)
class Subject:
    """Base model, patch and data set of a task.

    Attributes:
        model: base model in evaluation mode, on the CPU.
        name: kind of the model in results and folders.
        patch: patch, with the number of patches.
        stride: stride of the masks.
        description: data set.
        weights_sha256: digest of the weights.
    """

    model: BaseModel
    name: str
    patch: PatchSpec
    stride: int | tuple[int, int]
    description: DatasetDescription
    weights_sha256: str

    @property
    def patch_setting(self) -> int | str | tuple[int | str, ...]:
        """The patch as the configuration gives it."""
        return patch_setting(self.patch)

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings for the record, with those of the model that was built."""
        return {**config, "model": {"name": self.name, **self.model.config}}


def load_subject(settings: SubjectSettings, defender: Defender[Any] | None = None) -> Subject:
    """Open the checkpoint and build the model that it holds.

    Args:
        settings: checkpoint, model, patch and images.
        defender: defender whose mutants are evaluated. Where the checkpoint is missing, settings that cannot work
            are reported first: no training makes a checkpoint for them.

    Raises:
        CheckpointError: for a missing, damaged or foreign checkpoint; a checkpoint that contradicts the settings.
        ConfigurationError: without a checkpoint and a model; for a missing patch.
        DataError: if the data set has other classes.
    """
    description = settings.dataset.describe()
    classes = len(description.classes)
    if settings.checkpoint is None:
        origin: Mapping[str, Any] = {}
        if isinstance(settings.model, ModelSettings) and settings.model.loads_weights:
            # Before weights are downloaded.
            settings.dataset.check()
            _check_geometry(settings, classes, defender)
        model = _model_without_checkpoint(settings, classes)
    else:
        if not Path(settings.checkpoint).is_file():
            _check_geometry(settings, classes, defender)
        checkpoint = read_checkpoint(settings.checkpoint, made_by=settings.made_by)
        origin = checkpoint.origin
        check_agreement(checkpoint, settings.required, description)
        model = _model_of(checkpoint, settings, classes)
    return Subject(
        model,
        _name(settings, origin, model),
        _patch(settings, origin),
        _stride(settings, origin),
        description,
        weights_digest(model),
    )


def document_facts(
    settings: SubjectSettings, subject: Subject, environment: Environment, config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the fields of :class:`mrcert_pl.results.schema.RunDocument`, and the digest of the weights.

    Args:
        settings: settings of the task.
        subject: what it is about.
        environment: where it ran.
        config: entries that the configuration of the run has from elsewhere.
    """
    return {
        "dataset": subject.description.name,
        "model": subject.name,
        "patch": subject.patch_setting,
        "weights_sha256": subject.weights_sha256,
        "seed": settings.run.seed,
        "environment": environment,
        "checkpoint": None if settings.checkpoint is None else str(settings.checkpoint),
        "command": settings.run.command,
        "config": subject.config({**settings.run.config, **(config or {})}),
    }


def defender_of(defender: str | Defender[Any], patches: int) -> Defender[Any]:
    """Return a defender, built by name for a number of patches if it is a name."""
    return registry.build(defender, patches) if isinstance(defender, str) else defender


def patch_setting(patch: PatchSpec) -> int | str | tuple[int | str, ...]:
    """Return a patch as the configuration gives it."""
    return _setting(patch.size)


def _setting(size: Any) -> Any:
    if not isinstance(size, tuple):
        return size
    if all(isinstance(side, int) for side in size):
        return f"{size[0]}x{size[1]}"
    return tuple(_setting(shape) for shape in size)


def _check_geometry(settings: SubjectSettings, classes: int, defender: Defender[Any] | None) -> None:
    """Validate the settings of the model, and its masks for the patch, without weights."""
    if not isinstance(settings.model, ModelSettings):
        return
    model = settings.model.shape(classes)
    if defender is not None and settings.patch is not None:
        defender.mutants(model, _patch(settings, {}), _stride(settings, {}))


def _model_without_checkpoint(settings: SubjectSettings, classes: int) -> BaseModel:
    if settings.model is None:
        raise ConfigurationError("give a checkpoint, or a model whose weights are known without one")
    if isinstance(settings.model, ModelSettings):
        return settings.model.make_without_training(classes).eval()
    return settings.model.eval()


def _model_of(checkpoint: Checkpoint, settings: SubjectSettings, classes: int) -> BaseModel:
    """Build the model of a checkpoint: of a registered kind, or of the class in the settings."""
    given = settings.model
    if given is None or isinstance(given, ModelSettings):
        return rebuild(checkpoint, None if given is None else given.build, free_settings(settings.required))
    restore(given, checkpoint)
    return given.eval()


def free_settings(required: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are taken in place of those of a checkpoint: its weights don't depend on them."""
    return {name: value for name, value in required.items() if name in FREE_SETTINGS}


def check_agreement(
    checkpoint: Checkpoint, required: Mapping[str, Any], description: DatasetDescription | None = None
) -> None:
    """Compare the arguments of the model, and the classes of the data set, with those of a checkpoint.

    Raises:
        CheckpointError: if they differ; it lists both values.
    """
    origin = checkpoint.origin
    config = {**origin["config"], "name": origin.get("name")}
    differing = [
        f"model.{name}: {theirs!r} in the checkpoint, {value!r} given"
        for name, value in required.items()
        if name not in FREE_SETTINGS and _contradicts(name, theirs := _argument(config, name), value)
    ]
    theirs = origin.get("classes")
    if theirs is not None and description is not None and list(theirs) != list(description.classes):
        differing.append(
            f"classes: {_some(theirs)} in the checkpoint, {_some(description.classes)} of dataset={description.name}"
        )
    if differing:
        raise CheckpointError(
            f"{checkpoint.path} contradicts the settings:\n  "
            + "\n  ".join(differing)
            + "\nleave these settings out, since the checkpoint has them, or give another checkpoint"
        )


def _contradicts(name: str, theirs: Any, value: Any) -> bool:
    # What a checkpoint does not have is about the start of a training, unless it is an argument of the backbone.
    return theirs != value and (theirs is not None or name.startswith("backbone_args."))


def _argument(config: Mapping[str, Any], name: str) -> Any:
    """Return the argument with a dotted name, ``None`` if the checkpoint does not have it."""
    value: Any = config
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _name(settings: SubjectSettings, origin: Mapping[str, Any], model: BaseModel) -> str:
    if isinstance(settings.model, ModelSettings):
        return str(origin.get("name", settings.model.name))
    return str(origin.get("name", type(model).__name__))


def _patch(settings: SubjectSettings, origin: Mapping[str, Any]) -> PatchSpec:
    patch = origin.get("patch") if settings.patch is None else settings.patch
    if patch is None:
        raise ConfigurationError("the checkpoint names no patch; give patch=, for example patch=32")
    return PatchSpec(patch, count=settings.patches)


def _stride(settings: SubjectSettings, origin: Mapping[str, Any]) -> int | tuple[int, int]:
    stride = origin.get("stride", 1) if settings.stride is None else settings.stride
    return stride if isinstance(stride, int) else (stride[0], stride[1])


def _some(classes: Any, most: int = 3) -> str:
    names = ", ".join(map(str, list(classes)[:most]))
    return f"{len(classes)} ({names}{', ...' if len(classes) > most else ''})"
