"""Settings shared by tasks: frozen dataclasses, validated on construction."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from mrcert_pl.data import DatasetDescription, ImageDataModule, describe
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.initial_weights import INITIAL_WEIGHTS
from mrcert_pl.models import registry
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.tasks.arguments import check_model_arguments, check_names
from mrcert_pl.tasks.checks import check_choice, check_flag, check_number
from mrcert_pl.tasks.progress import Track, untracked

# Options of the trainer: name, smallest value, whether it is a whole number, whether it may be null.
_CHECKED_OPTIONS = (
    ("max_epochs", -1, True, True),
    ("check_val_every_n_epoch", 1, True, False),
    ("gradient_clip_val", 0, False, True),
    ("log_every_n_steps", 0, True, True),
)
# Those with float32 weights: tables of mutants and digests of images take no other type.
_PRECISIONS = ("32-true", "32", "16-mixed", "16", "bf16-mixed", "bf16")
# The largest seed of NumPy.
_MOST_SEED = 2**32 - 1

log = logging.getLogger("mrcert_pl")


@dataclass(frozen=True)
class DatasetSettings:
    """Images of a task.

    Attributes:
        name: data set of the registry, ``folder`` for own images, ``attacked`` for an attacked set.
        root: folder of the data set; default: ``data/<name>``.
        download: download of missing files, where the data set allows it.
        resize: ``crop`` or ``whole``; default: that of the data set.
        workers: maximum number of loading processes.
        limit: number of images of each split, drawn with the seed; default: all.
        labels: CSV file with the labels of ``folder`` (path, label[, split]); default: the subfolders.
        module: Python module that registers the data set, imported first.
        build: class of the data module.
    """

    name: str = "digits"
    root: Path | None = None
    download: bool = False
    resize: Resize | None = None
    workers: int = 0
    limit: int | None = None
    labels: Path | None = None
    module: str | None = None
    build: Callable[..., ImageDataModule] = ImageDataModule

    def __post_init__(self) -> None:
        check_number("dataset.workers", self.workers, 0)
        check_number("dataset.limit", self.limit, 1, optional=True)
        check_flag("dataset.download", self.download)
        if self.resize is not None:
            check_choice("dataset.resize", self.resize, get_args(Resize))
        names = self.module.split(".") if isinstance(self.module, str) else []
        if self.module is not None and not (names and all(name.isidentifier() for name in names)):
            raise ConfigurationError(
                f"dataset.module must be the name of a Python module, such as my_images, got {self.module!r}"
            )

    def describe(self) -> DatasetDescription:
        """Return the description of the data set; its files are not opened unless it is an attacked set or a folder."""
        return describe(self.name, self.root, self.labels, self.module)

    def check(self) -> DatasetDescription:
        """Return the description after a look for the files, which are downloaded if that is allowed.

        Raises:
            DataError: for missing files.
        """
        description = self.describe()
        if self.download:
            description.fetch(self.root)
        description.open(self.root)
        return description

    def load(self, image_px: tuple[int, int], seed: int, **arguments: Any) -> ImageDataModule:
        """Return the data module for images of the model's size."""
        return self.build(
            name=self.name,
            root=self.root,
            download=self.download,
            resize=self.resize,
            workers=self.workers,
            limit=self.limit,
            labels=self.labels,
            module=self.module,
            image_px=image_px,
            seed=seed,
            **arguments,
        )


@dataclass(frozen=True)
class ModelSettings:
    """Kind and arguments of a base model.

    Attributes:
        name: kind of the model: ``vit_srf``, ``masked_vit``, ``column_vit``, ``blackbox``, or a registered one.
        arguments: arguments of the class, except the number of classes.
        build: class of the model; default: that of the registry.
    """

    name: str = "vit_srf"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    build: Callable[..., BaseModel] | None = None

    @property
    def loads_weights(self) -> bool:
        """Whether the model starts from a file or from the hub."""
        return any(self.arguments.get(name) for name in ("pretrained", "weights"))

    @property
    def start(self) -> str:
        """Weights that a training starts from: ``file``, ``hub`` (those of the backbone's tag) or ``random``."""
        if self.arguments.get("weights"):
            return "file"
        return "hub" if self.arguments.get("pretrained") else "random"

    def untrained(self) -> "ModelSettings":
        """Return the same model with random weights, which need neither a file nor a network."""
        # A class outside the package may have a name or a path in place of true.
        start = {name: self.arguments[name] for name in INITIAL_WEIGHTS if name in self.arguments}
        nothing = {name: False if isinstance(value, bool) else None for name, value in start.items()}
        return replace(self, arguments={**self.arguments, **nothing})

    def shape(self, num_classes: int) -> BaseModel:
        """Build the model without memory for its weights: its windows and masks."""
        with torch.device("meta"), warnings.catch_warnings():
            # Nothing is copied into tensors without memory.
            warnings.simplefilter("ignore")
            return self.untrained().make(num_classes)

    def make(self, num_classes: int) -> BaseModel:
        """Build the model with the weights named in its arguments.

        Raises:
            ConfigurationError: for an unknown kind or unsuitable arguments.
        """
        kind: Any = self.build or registry.kind_named(self.name)
        check_names("model", kind, self.arguments, given=("num_classes",))
        if kind in registry.OWN:
            check_model_arguments(self.arguments)
        model: BaseModel = kind(**self.arguments, num_classes=num_classes)
        return model

    def make_without_training(self, num_classes: int) -> BaseModel:
        """Build the model for verdicts with the weights named in its arguments; a warning says if they are random.

        Raises:
            ConfigurationError: as :meth:`make`, and for weights whose head is replaced by a new, random one.
        """
        model = self.make(num_classes)
        if self.loads_weights and getattr(model, "new_head", False):
            raise ConfigurationError(
                f"the head of these weights is not one of {num_classes} classes, and a new one would give random "
                "labels; name the row of each class in model.head_rows, in the order of the classes (two classes: "
                "'model.head_rows=[217,566]'), or give a checkpoint of a training; for a head of another number of "
                "classes give their names (mrcert predict and serve: class_names)"
            )
        # A class from outside may have weights without naming them.
        if self.start == "random" and type(model) in registry.OWN:
            log.warning(
                "the weights of model=%s are random: name a checkpoint, a file in model.weights, or "
                "model.pretrained=true",
                self.name,
            )
        return model


@dataclass(frozen=True)
class TrainerSettings:
    """Devices, precision and length of a Lightning run.

    Attributes:
        accelerator: ``auto``, ``cpu``, ``gpu``.
        devices: number of devices, -1 for all.
        strategy: Lightning strategy, for example ``ddp``.
        precision: ``32-true``, ``16-mixed`` or ``bf16-mixed``.
        options: further arguments of ``lightning.Trainer``.
        progress: whether to show progress bars.
    """

    accelerator: str = "auto"
    devices: int | str = 1
    strategy: str = "auto"
    precision: str = "32-true"
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = True

    def __post_init__(self) -> None:
        # Lightning compares these before it validates them, or takes them silently; -1 trains without an end.
        for name, at_least, whole, optional in _CHECKED_OPTIONS:
            if name in self.options:
                check_number(f"trainer.{name}", self.options[name], at_least, whole, optional)
        if self.options.get("max_epochs") == 0:
            raise ConfigurationError("trainer.max_epochs must be at least 1, or -1 for no end, got 0")
        if str(self.precision) not in _PRECISIONS:
            raise unknown("trainer.precision", self.precision, _PRECISIONS[::2])

    def make(self, folder: Path, loggers: Sequence[Logger], callbacks: Sequence[Callback], **more: Any) -> L.Trainer:
        """Build the trainer.

        Raises:
            ConfigurationError: for a missing GPU, or arguments that Lightning refuses.
        """
        if self.accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
            raise ConfigurationError("no GPU was found; give trainer=cpu or trainer=ddp_cpu")
        defaults: dict[str, Any] = {
            "deterministic": "warn",
            "log_every_n_steps": 1,
            "num_sanity_val_steps": 0,
            "enable_model_summary": False,
            # The data module's sampler repeats no image.
            "use_distributed_sampler": False,
            "default_root_dir": str(folder),
            "enable_progress_bar": self.progress,
            "plugins": _plugins(),
        }
        arguments = {**defaults, **self.options, **more}
        try:
            return L.Trainer(
                accelerator=self.accelerator,
                devices=self.devices,
                strategy=self.strategy,
                precision=self.precision,  # type: ignore[arg-type]  # Lightning checks the word
                logger=list(loggers) or False,
                callbacks=list(callbacks),
                **arguments,
            )
        except (TypeError, ValueError, MisconfigurationException, ModuleNotFoundError) as error:
            raise ConfigurationError(f"Lightning refuses the trainer's settings: {error}") from error


def _plugins() -> list[SLURMEnvironment]:
    """Return SLURM's environment without Lightning's requeueing, inside a job.

    Lightning saves a checkpoint in the middle of an epoch and prefers it to any other one from then on. A training that
    resumes after its last finished epoch ends with the weights of an undisturbed one.
    """
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


@dataclass(frozen=True)
class RunSettings:
    """Folder, seed and record of a run.

    Attributes:
        folder: folder of the run's files; default: ``outputs/<time>``.
        seed: random seed.
        loggers: Lightning loggers.
        command: command line, for the record in results.
        config: settings as plain values, for the record in results and loggers.
        track: progress of loops outside Lightning.
    """

    folder: Path = field(default_factory=lambda: Path("outputs", f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"))
    seed: int = 0
    loggers: Sequence[Logger] = ()
    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    track: Track[Any] = untracked

    def __post_init__(self) -> None:
        check_number("seed", self.seed, 0, at_most=_MOST_SEED)
