"""Patch attacks on the base model, and the attacked set that they leave."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mrcert_pl.attacks import PatchAttack, PatchIFGSM
from mrcert_pl.callbacks import ImageProgressBar, Throughput
from mrcert_pl.data import AttackedSet, ImageDataModule, ImageSplit, Preprocessing
from mrcert_pl.data.attacked import AttackedImages, read_header
from mrcert_pl.lit import PatchAttacking
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.results.examples import array_of
from mrcert_pl.results.schema import Accuracy, AttackResult, Environment
from mrcert_pl.tasks.evaluate import RESULT
from mrcert_pl.tasks.resume import store_folder
from mrcert_pl.tasks.runtime import begin, device_of, finish, log
from mrcert_pl.tasks.settings import TrainerSettings, check_number
from mrcert_pl.tasks.subject import Subject, SubjectSettings, load_subject


@dataclass(frozen=True)
class AttackSettings(SubjectSettings):
    """Settings of :func:`attack`; those of :class:`mrcert_pl.tasks.subject.SubjectSettings`, and these.

    Attributes:
        attack: class of the attack with its arguments, called with the patch and ``seed=``.
        trainer: devices and precision.
        batch_size: images that are loaded together.
        store: folder of the attacked set, or ``last`` for that of the newest earlier run; default: in the run's folder.
        examples: number of images to return before and after the attack, those with the highest loss.
    """

    attack: Callable[..., PatchAttack] = PatchIFGSM
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    batch_size: int = 1
    store: str | Path | None = None
    examples: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("batch_size", self.batch_size, 1)
        check_number("pictures", self.examples, 0)


@dataclass(frozen=True)
class AttackExample:
    """An image before and after an attack.

    Attributes:
        facts: label, predictions, placement and loss.
        before: ``[height, width, 3]`` in [0, 1].
        after: the same with the patch.
    """

    facts: Mapping[str, Any]
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Attack:
    """What :func:`attack` returns, on every process.

    Attributes:
        result: accuracies of the base model before and after; ``results.json`` in the folder.
        folder: folder of the run.
        attacked: folder of the attacked set.
        examples: the requested images; on the first process alone.
    """

    result: AttackResult
    folder: Path
    attacked: Path
    examples: Sequence[AttackExample]


def attack(settings: AttackSettings) -> Attack:
    """Attack test images of a data set; leave the attacked set and the result in the run's folder.

    Raises:
        ConfigurationError: for settings that cannot work.
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        DataError: for missing images, or an attacked set that was made by something else.
        NumericalError: for logits that are not finite.
    """
    run = settings.run
    begin(run)
    subject = load_subject(settings)
    made = settings.attack(subject.patch, seed=run.seed)
    data = settings.dataset.load(subject.model.image_px, run.seed, batch_size=settings.batch_size)
    ids = [record.id for record in data.split("test").records]
    trainer = settings.trainer.make(
        run.folder, run.loggers, [Throughput(), *([ImageProgressBar("Attacking")] if settings.trainer.progress else [])]
    )
    header = {
        "dataset": data.description.attacked or data.description.name,
        "classes": list(data.description.classes),
        "images": ids,
        "quantize": made.quantize,
        "attack": made.settings(),
        "model": describe_model(subject.model),
        "weights_sha256": subject.weights_sha256,
        "precision": str(trainer.precision),
        "device": trainer.strategy.root_device.type,
        "made_from": {
            "model": {"name": subject.name, **subject.model.config},
            "patch": subject.patch.text(),
            "checkpoint": str(settings.checkpoint),
            "dataset": _source(settings),
        },
    }
    attacked = AttackedSet(store_folder(settings.store, run.folder, "attacked"), header)
    if (finished := len(attacked.ids())) and trainer.is_global_zero:
        log.info("%s has %d attacked images; they are not attacked again", attacked.folder, finished)
    try:
        trainer.test(PatchAttacking(subject.model, made, attacked), data, verbose=False)
    except BaseException:
        log.warning(
            "%d attacked images are kept: the same command with store=%s continues there",
            len(attacked.ids()),
            attacked.folder,
        )
        raise
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        environment = Environment.here(device_of(trainer), str(trainer.precision))
        _write(settings, subject, made, AttackedImages(attacked.folder), environment)
    trainer.strategy.barrier()
    finish(run)
    examples = _examples(AttackedImages(attacked.folder), data, settings.examples if trainer.is_global_zero else 0)
    return Attack(AttackResult.read(run.folder / RESULT), run.folder, attacked.folder, examples)


def _source(settings: AttackSettings) -> Mapping[str, Any]:
    """Return where the images are, and how they are resized, before any attack."""
    dataset = settings.dataset
    if dataset.name == "attacked" and dataset.root is not None:
        return read_header(dataset.root).made_from_dataset
    return {"root": None if dataset.root is None else str(dataset.root), "resize": dataset.resize}


def _write(
    settings: AttackSettings, subject: Subject, made: PatchAttack, images: AttackedImages, environment: Environment
) -> None:
    rows = images.facts
    n = len(rows)
    result = AttackResult(
        dataset=subject.description.name,
        model=subject.name,
        patch=subject.patch.text(),
        attack=made.name,
        attack_settings=made.settings(),
        n=n,
        before=Accuracy(sum(row["clean_prediction"] == row["label"] for row in rows), n),
        after=Accuracy(sum(row["prediction"] == row["label"] for row in rows), n),
        successes=sum(row["success"] for row in rows),
        attacked=str(images.folder),
        weights_sha256=subject.weights_sha256,
        seed=settings.run.seed,
        environment=environment,
        checkpoint=None if settings.checkpoint is None else str(settings.checkpoint),
        command=settings.run.command,
        config={**settings.run.config, "model": {"name": subject.name, **subject.model.config}},
    )
    result.write(settings.run.folder / RESULT)


def _examples(attacked: AttackedImages, data: ImageDataModule, number: int) -> list[AttackExample]:
    """Return the images with the highest loss before and after the attack."""
    if not number:
        return []
    originals, records = data.split("test"), list(attacked.records("test"))
    patched = ImageSplit(attacked, records, Preprocessing(data.preprocessing.image_px, "whole"))
    chosen = sorted(range(len(records)), key=lambda i: -attacked.facts[i]["loss"])[:number]
    return [AttackExample(attacked.facts[i], _pixels(originals[i].image), _pixels(patched[i].image)) for i in chosen]


def _pixels(image: Tensor) -> np.ndarray:
    return array_of(image)
