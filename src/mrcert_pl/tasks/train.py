"""Masked fine-tuning of a base model."""

import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from mrcert_pl.callbacks import Checkpoint, ImageProgressBar, Throughput
from mrcert_pl.data import ImageDataModule, Split
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.files import write_whole
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.lit import MaskedFinetuning
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import describe_model, read_checkpoint
from mrcert_pl.models.integrity import digest_of
from mrcert_pl.models.protocols import BaseModel, TrainableModel
from mrcert_pl.models.stages import restore_srf
from mrcert_pl.results.runs import TRAINING
from mrcert_pl.results.schema import Environment, TrainingResult
from mrcert_pl.tasks.announce import announce_run, announce_training
from mrcert_pl.tasks.arguments import check_names
from mrcert_pl.tasks.resume import checkpoint_to_resume, record_settings, run_of
from mrcert_pl.tasks.runtime import device_of, log, opened
from mrcert_pl.tasks.subject import patch_setting
from mrcert_pl.tasks.training import RecipeSettings, TrainingSettings
from mrcert_pl.tasks.training_callbacks import best_checkpoint, default_callbacks, validation_mutants
from mrcert_pl.tasks.training_masks import window_sampler

_SPLITS: tuple[Split, ...] = ("train", "val")


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
        window_sampler(settings, _trainable(settings, settings.model.shape(len(description.classes))))
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
    callbacks = default_callbacks(settings) if settings.callbacks is None else settings.callbacks
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
            validation_mutants(model, callbacks),
            device_of(trainer),
            str(trainer.precision),
            run.folder,
        )
    announce_training(model, len(data.split("train").records), data.batch_size, epochs, trainer)
    best = best_checkpoint(callbacks)
    if resumed is not None:
        # It finds its own checkpoints in its folder, or chooses its best one anew in another folder.
        for notice in ("Checkpoint directory .* exists and is not empty", "The dirpath has changed"):
            warnings.filterwarnings("ignore", message=notice)
    started = time.perf_counter()
    try:
        trainer.fit(module, data, ckpt_path=resumed)
    except BaseException as error:
        _report_what_is_kept(settings, best)
        if isinstance(error, MisconfigurationException):
            # For example a monitor that names no metric: Lightning looks it up after the first validation.
            raise ConfigurationError(f"Lightning refuses the settings: {error}") from error
        raise
    return _result(settings, description.name, best, trainer, time.perf_counter() - started)


def _trainable(settings: TrainingSettings, model: BaseModel) -> TrainableModel:
    """Return the model if it can be trained."""
    if not isinstance(model, TrainableModel):
        raise ConfigurationError(
            f"model={settings.model.name} can't be fine-tuned with masks; these can: vit_srf, masked_vit, column_vit"
        )
    return model


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


def _finetuning(settings: TrainingSettings, model: TrainableModel, data: ImageDataModule) -> MaskedFinetuning:
    classes = data.description.classes
    origin = {
        **describe_model(model),
        "name": settings.model.name,
        "start": settings.model.start,
        "dataset": settings.dataset.name,
        "classes": list(classes),
        "resize": data.preprocessing.resize,
        "patch": str(settings.patch),
        "stride": settings.stride if isinstance(settings.stride, int) else list(settings.stride),
        "seed": settings.run.seed,
        "stage": settings.stage,
    }
    build: Callable[..., MaskedFinetuning] = MaskedFinetuning
    given = {
        "model": model,
        "masks": window_sampler(settings, model),
        "num_classes": len(classes),
        "batch_size": settings.recipe.batch_size,
        "origin": origin,
    }
    check_names("recipe.finetuning", build, settings.recipe.finetuning, given)
    return build(**given, **settings.recipe.finetuning)


__all__ = ["RecipeSettings", "TrainingSettings", "run_of", "train"]
