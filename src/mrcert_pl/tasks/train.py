"""Masked fine-tuning of a base model."""

import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from mrcert_pl.callbacks import BatchSeeds, Checkpoint, ImageProgressBar, MutantPredictions, Throughput
from mrcert_pl.data import ImageDataModule, Split
from mrcert_pl.defenders import Defender
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.files import write_whole
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.lit import MaskedFinetuning
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import describe_model, read_checkpoint
from mrcert_pl.models.integrity import digest_of
from mrcert_pl.models.protocols import AblatableModel, BaseModel, GridModel, TrainableModel
from mrcert_pl.models.stages import restore_srf
from mrcert_pl.mutants import MutantSet
from mrcert_pl.results.runs import TRAINING
from mrcert_pl.results.schema import Environment, TrainingResult
from mrcert_pl.tasks.announce import announce_run, announce_training
from mrcert_pl.tasks.resume import checkpoint_to_resume, record_settings, run_of
from mrcert_pl.tasks.runtime import device_of, log, opened
from mrcert_pl.tasks.settings import (
    DatasetSettings,
    ModelSettings,
    RunSettings,
    TrainerSettings,
    check_choice,
    check_number,
)
from mrcert_pl.tasks.subject import defender_of, patch_setting
from mrcert_pl.training import AblationSampler, MaskSampler, MixedSampler, WindowSampler

_SPLITS: tuple[Split, ...] = ("train", "val")
STAGES = ("one", "srf_vanilla", "split")


@dataclass(frozen=True)
class RecipeSettings:
    """Training of a model: schedule, masks, augmentation.

    Attributes:
        epochs: number of epochs.
        batch_size: images per batch and device.
        mask_orders: numbers of masks in a union; default: 0 to twice the number of patches.
        mask_draws: ``masks`` (draw an order, then masks with replacement) or ``distinct`` (uniform over the distinct
            unions of these orders).
        mask_heaviest: fraction of draws of the largest order, without repeated masks.
        mask_strides: strides of the training masks, drawn equally often; default: ``stride`` alone.
        mask_patch: patch size of the training masks; default: the patch to defend against.
        masks_per_batch: one union per batch instead of one per image.
        augmentation: arguments of timm's training transform; default: the preprocessing of evaluation.
        finetuning: further arguments of :class:`mrcert_pl.lit.MaskedFinetuning`.
    """

    epochs: int = 1
    batch_size: int = 64
    mask_orders: Sequence[int] | None = None
    mask_draws: str = "masks"
    mask_heaviest: float = 0.0
    mask_strides: Sequence[int] | None = None
    mask_patch: Shape | None = None
    masks_per_batch: bool = False
    augmentation: Mapping[str, Any] | None = None
    finetuning: Mapping[str, Any] = field(default_factory=lambda: {"optimizer": {"opt": "adamw", "lr": 1e-4}})

    def __post_init__(self) -> None:
        check_number("recipe.epochs", self.epochs, 1)
        check_number("recipe.batch_size", self.batch_size, 1)
        if self.mask_strides is not None:
            if isinstance(self.mask_strides, str) or not isinstance(self.mask_strides, Sequence):
                raise ConfigurationError(
                    f"recipe.mask_strides must be a list of strides, such as [4,2], got {self.mask_strides!r}"
                )
            for stride in self.mask_strides:
                check_number("recipe.mask_strides", stride, 1)


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of :func:`train`.

    Attributes:
        dataset: images.
        model: base model.
        patch: patch to defend against.
        patches: total number of patches, before and after certification.
        stride: stride of the masks in windows, of votes in px.
        recipe: schedule, masks and augmentation.
        stage: ``one``; or ``srf_vanilla`` (no masks), then ``split`` (masks; the SRF half from ``srf_checkpoint``).
        srf_checkpoint: checkpoint of the first stage.
        made_by: command that creates the checkpoint of the first stage, for the error if it is missing.
        defender: defender for certified accuracies during validation.
        validation_images: number of validation images to certify, for the default callbacks.
        callbacks: Lightning callbacks by name; default: certified accuracies during validation, the best checkpoint by
            them, the last checkpoint, seeds for every batch.
        trainer: devices, precision and length.
        compile: compilation of the model's transformer blocks with ``torch.compile``.
        resume: checkpoint of a run to resume, or ``last`` for the newest one beside this run's folder.
        publish: file for a copy of the best checkpoint; default: none.
        run: folder, seed and record of the run.
    """

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    patch: Shape = 16
    patches: int = 2
    stride: int | tuple[int, int] = 1
    recipe: RecipeSettings = field(default_factory=RecipeSettings)
    stage: str = "one"
    srf_checkpoint: Path | None = None
    made_by: str | None = None
    defender: Defender[Any] | str = "mrcert"
    validation_images: int = 64
    callbacks: Mapping[str, Callback] | None = None
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    compile: bool = False
    resume: str | None = None
    publish: Path | None = None
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        check_choice("stage", self.stage, STAGES)
        check_number("patches", self.patches, 1)
        PatchSpec(self.patch)
        if self.stage != "one" and self.model.name != "vit_srf":
            raise ConfigurationError(f"stage={self.stage} trains one half of a ViT-SRF (model=vit_srf); give stage=one")

    def identity(self) -> dict[str, Any]:
        """Return the settings that a resumed training must have, as plain values by name."""
        start = ("pretrained", "weights", "head_rows")
        # Other data sets are the same images wherever they are.
        own = {} if self.dataset.name != "folder" else {"dataset.root": str(Path(self.dataset.root or "").absolute())}
        return {
            "dataset.name": self.dataset.name,
            **own,
            "dataset.limit": self.dataset.limit,
            "dataset.resize": self.dataset.resize,
            "model.name": self.model.name,
            **{f"model.{name}": value for name, value in self.model.arguments.items() if name not in start},
            "patch": str(self.patch),
            "patches": self.patches,
            "stride": self.stride if isinstance(self.stride, int) else list(self.stride),
            "seed": self.run.seed,
            "stage": self.stage,
            **{f"recipe.{name}": value for name, value in vars(self.recipe).items() if name != "epochs"},
        }


def train(settings: TrainingSettings) -> TrainingResult:
    """Fine-tune a base model on masked images; write its best and its last checkpoint to the run folder.

    Raises:
        ConfigurationError: for settings that cannot work.
        CheckpointError: for a checkpoint to resume that is missing or belongs to other settings.
        DataError: for missing images.
        NumericalError: for a loss that is not finite.
    """
    with opened(settings.run):
        return _train(settings)


def _train(settings: TrainingSettings) -> TrainingResult:
    run = settings.run
    resumed = checkpoint_to_resume(settings.resume, settings.identity(), run.folder)
    # Missing data and unsuitable masks are reported before weights are downloaded.
    description = settings.dataset.check()
    if settings.model.loads_weights:
        _sampler(settings, _trainable(settings, settings.model.shape(len(description.classes))))
    model = _trainable(settings, settings.model.make(len(description.classes)))
    data = settings.dataset.load(
        model.image_px, run.seed, batch_size=settings.recipe.batch_size, augmentation=settings.recipe.augmentation
    )
    if settings.stage == "split":
        if settings.srf_checkpoint is None:
            raise ConfigurationError("stage=split needs the checkpoint of the first stage; give srf_checkpoint=")
        if not isinstance(model, ViTSRF):
            raise ConfigurationError(f"stage=split needs model=vit_srf, not model={settings.model.name}")
        restore_srf(model, read_checkpoint(settings.srf_checkpoint, made_by=settings.made_by))
    module = _finetuning(settings, model, data)
    if settings.compile:
        # The model itself is never called as a whole: the step encodes, and classifies what is visible.
        for block in model.residual_blocks:
            block.compile()
    callbacks = _default_callbacks(settings) if settings.callbacks is None else settings.callbacks
    epochs = settings.trainer.options.get("max_epochs") or settings.recipe.epochs
    trainer = settings.trainer.make(
        run.folder,
        run.loggers,
        [*callbacks.values(), Throughput(), *([ImageProgressBar()] if settings.trainer.progress else [])],
        max_epochs=epochs,
        # A short training is validated once, at its end, to choose a best checkpoint.
        check_val_every_n_epoch=min(settings.trainer.options.get("check_val_every_n_epoch", 10), epochs),
    )
    if trainer.is_global_zero:
        record_settings(run.folder, settings.identity())
        announce_run(
            data,
            {split: len(data.split(split).records) for split in _SPLITS},
            settings.model.name,
            _validation_mutants(model, callbacks),
            device_of(trainer),
            str(trainer.precision),
            run.folder,
        )
    announce_training(model, len(data.split("train").records), epochs, trainer)
    best = _best(callbacks)
    if resumed is not None:
        # It finds its own checkpoints in its folder, or chooses its best one anew in another folder.
        for notice in ("Checkpoint directory .* exists and is not empty", "The dirpath has changed"):
            warnings.filterwarnings("ignore", message=notice)
    started = time.perf_counter()
    try:
        trainer.fit(module, data, ckpt_path=resumed)
    except BaseException:
        _report_what_is_kept(settings, best)
        raise
    return _result(settings, description.name, best, trainer, time.perf_counter() - started)


def _trainable(settings: TrainingSettings, model: BaseModel) -> TrainableModel:
    """Return the model if it can be trained."""
    if not isinstance(model, TrainableModel):
        raise ConfigurationError(
            f"model={settings.model.name} can't be fine-tuned with masks; these can: vit_srf, masked_vit, column_vit"
        )
    return model


def _validation_mutants(model: BaseModel, callbacks: Mapping[str, Callback]) -> MutantSet | None:
    """Return the mutants that a validation evaluates, if it certifies images."""
    certifying = next((found for found in callbacks.values() if isinstance(found, MutantPredictions)), None)
    return None if certifying is None else certifying.mutants_of(model)


def _report_what_is_kept(settings: TrainingSettings, best: Checkpoint | None) -> None:
    """Log the checkpoints of an interrupted training and the command that resumes it."""
    # A save that failed has set the path already.
    if best is not None and best.best_model_path and Path(best.best_model_path).is_file():
        log.warning("the best checkpoint so far is kept: %s", best.best_model_path)
    last = settings.run.folder / "checkpoints" / "last.ckpt"
    if last.exists():
        log.warning("the same command with ckpt_path=last resumes after the last finished epoch (%s)", last)


def _result(
    settings: TrainingSettings, dataset: str, best: Checkpoint | None, trainer: L.Trainer, seconds: float
) -> TrainingResult:
    """Publish the best checkpoint and return the result."""
    path = Path(best.best_model_path) if best is not None and best.best_model_path else None
    replaced = settings.publish is not None and settings.publish.exists()
    if path is not None and settings.publish is not None and trainer.is_global_zero:
        write_whole(settings.publish, lambda partial: shutil.copyfile(path, partial), "paths.checkpoint_dir")
    known = path is not None and best is not None
    found: Any = best.best_model_score if known and best is not None else None
    score = None if found is None else float(found)
    result = TrainingResult(
        dataset=dataset,
        model=settings.model.name,
        patch=patch_setting(PatchSpec(settings.patch)),
        seed=settings.run.seed,
        environment=Environment.here(device_of(trainer), str(trainer.precision)),
        stage=settings.stage,
        checkpoint=None if path is None else str(path),
        monitor=best.monitor if known and best is not None else None,
        best_score=score,
        weights_sha256=None if path is None else digest_of(read_checkpoint(path).weights),
        published=None if settings.publish is None or path is None else str(settings.publish),
        replaced=replaced,
        seconds=round(seconds, 3),
        command=settings.run.command,
        config=dict(settings.run.config),
    )
    if trainer.is_global_zero:
        result.write(settings.run.folder / TRAINING)
    return result


def _best(callbacks: Mapping[str, Callback]) -> Checkpoint | None:
    """Return the callback that chooses the best checkpoint."""
    found = callbacks.get("checkpoint")
    return found if isinstance(found, Checkpoint) else None


def _default_callbacks(settings: TrainingSettings) -> dict[str, Callback]:
    folder = settings.run.folder / "checkpoints"
    monitor = "val/unmasked_accuracy" if settings.stage == "srf_vanilla" else "val/certified_accuracy"
    never_numbered: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False}
    return {
        "mutant_predictions": MutantPredictions(
            defender_of(settings.defender, settings.patches),
            settings.patch,
            settings.stride,
            settings.validation_images,
        ),
        "checkpoint": Checkpoint(
            filename="best", monitor=monitor, mode="max", auto_insert_metric_name=False, **never_numbered
        ),
        "resume": Checkpoint(filename="last", save_on_train_epoch_end=True, **never_numbered),
        "seeds": BatchSeeds(settings.run.seed),
    }


def _finetuning(settings: TrainingSettings, model: TrainableModel, data: ImageDataModule) -> MaskedFinetuning:
    classes = data.description.classes
    origin = {
        **describe_model(model),
        "name": settings.model.name,
        "dataset": settings.dataset.name,
        "classes": list(classes),
        "resize": data.preprocessing.resize,
        "patch": str(settings.patch),
        "stride": settings.stride if isinstance(settings.stride, int) else list(settings.stride),
        "seed": settings.run.seed,
        "stage": settings.stage,
    }
    build: Callable[..., MaskedFinetuning] = MaskedFinetuning
    return build(
        model=model,
        masks=_sampler(settings, model),
        num_classes=len(classes),
        batch_size=settings.recipe.batch_size,
        origin=origin,
        **settings.recipe.finetuning,
    )


def _sampler(settings: TrainingSettings, model: BaseModel) -> WindowSampler:
    """Return the sampler of hidden windows: all but one ablation for votes, else the masks of the recipe."""
    recipe = settings.recipe
    if isinstance(model, AblatableModel):
        if not isinstance(settings.stride, int):
            raise ConfigurationError(f"votes have one stride in px, got {settings.stride}; give a whole number")
        return AblationSampler(model.ablations(settings.stride), recipe.masks_per_batch)
    patch = PatchSpec(recipe.mask_patch or settings.patch)
    if settings.stage == "srf_vanilla":
        orders: Sequence[int] = [0]
    else:
        orders = recipe.mask_orders or range(2 * settings.patches + 1)
    if not isinstance(model, GridModel):
        raise ConfigurationError(f"model={settings.model.name} has no windows that masks could hide, and no ablations")
    strides: Sequence[int | tuple[int, int]] = recipe.mask_strides or [settings.stride]
    samplers = [
        MaskSampler(
            model.covering_masks(patch, stride),
            model.windows,
            orders,
            recipe.masks_per_batch,
            draws=recipe.mask_draws,
            heaviest=recipe.mask_heaviest,
        )
        for stride in strides
    ]
    return samplers[0] if len(samplers) == 1 else MixedSampler(samplers, recipe.masks_per_batch)


__all__ = ["RecipeSettings", "TrainingSettings", "run_of", "train"]
