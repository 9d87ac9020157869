"""Patch attacks on the base model, and the attacked set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrcert_pl.attacks import PatchAttack, PatchIFGSM, normalised_range
from mrcert_pl.callbacks import ImageProgressBar, Throughput
from mrcert_pl.data import AttackedImages, AttackedSet, AttackedSetHeader
from mrcert_pl.data.attacked_header import MODEL_KINDS, read_header
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.lit import PatchAttacking
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.models.protocols import AttackableModel
from mrcert_pl.results.examples import AttackExample
from mrcert_pl.results.runs import RESULTS
from mrcert_pl.results.schema import Accuracy, AttackResult, Environment
from mrcert_pl.tasks.announce import announce_attack, announce_run
from mrcert_pl.tasks.checks import check_number, check_store
from mrcert_pl.tasks.examples import attack_examples
from mrcert_pl.tasks.resume import store_folder
from mrcert_pl.tasks.runtime import device_of, log, opened
from mrcert_pl.tasks.settings import TrainerSettings
from mrcert_pl.tasks.subject import Subject, SubjectSettings, load_subject


@dataclass(frozen=True)
class AttackSettings(SubjectSettings):
    """Settings of :func:`attack`, in addition to those of :class:`mrcert_pl.tasks.subject.SubjectSettings`.

    Attributes:
        attack: class of the attack with its arguments, called with the patch and ``seed=``.
        trainer: devices and precision.
        batch_size: images per loading step.
        store: folder of the attacked set, or ``last`` for that of the newest earlier run; default: in the run folder.
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
        check_number("examples", self.examples, 0)
        check_store(self.store)


@dataclass(frozen=True)
class Attack:
    """Result of :func:`attack`, the same on every process.

    Attributes:
        result: accuracies of the base model before and after; ``results.json`` in the folder.
        folder: folder of the run.
        attacked: folder of the attacked set.
        classes: names of the classes.
        examples: the requested images before and after the attack.
    """

    result: AttackResult
    folder: Path
    attacked: Path
    classes: Sequence[str]
    examples: Sequence[AttackExample] = ()


def attack(settings: AttackSettings) -> Attack:
    """Attack test images of a data set; write the attacked set and the result to the run folder.

    Raises:
        ConfigurationError: for settings that cannot work.
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        DataError: for missing images, or an attacked set of another attack.
        NumericalError: for logits that are not finite.
    """
    with opened(settings.run, leaves=RESULTS):
        return _attack(settings)


def _attack(settings: AttackSettings) -> Attack:
    run = settings.run
    subject = load_subject(settings)
    made = settings.attack(subject.patch, seed=run.seed)
    if made.needs_clip:
        made = settings.attack(subject.patch, seed=run.seed, clip=_clip(settings, subject))
    data = settings.dataset.load(subject.model.image_px, run.seed, batch_size=settings.batch_size)
    ids = [record.id for record in data.split("test").records]
    trainer = settings.trainer.make(
        run.folder, run.loggers, [Throughput(), *([ImageProgressBar("Attacking")] if settings.trainer.progress else [])]
    )
    header = AttackedSetHeader(
        source=data.description.attacked or data.description.name,
        classes=tuple(data.description.classes),
        images=tuple(ids),
        quantize=made.quantize,
        patch=_header_patch(subject),
        model_name=subject.name,
        model_kind=subject.name if subject.name in MODEL_KINDS else "",
        model_settings=subject.model.config,
        checkpoint="" if settings.checkpoint is None else str(settings.checkpoint),
        attack=made.settings(),
        model=describe_model(subject.model),
        weights_sha256=subject.weights_sha256,
        precision=str(trainer.precision),
        device=trainer.strategy.root_device.type,
        source_settings=_source(settings),
    )
    attacked = AttackedSet(store_folder(settings.store, run.folder, "attacked"), header)
    if trainer.is_global_zero:
        announce_run(
            data, {"test": len(ids)}, subject.name, None, device_of(trainer), str(trainer.precision), run.folder
        )
        if finished := len(attacked.ids()):
            log.info("%s has %d attacked images; they are not attacked again", attacked.folder, finished)
        missing = len({*ids} - {*attacked.ids()})
        announce_attack(subject.model, made, missing, trainer.strategy.root_device, trainer.world_size)
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
    return Attack(
        result=AttackResult.read(run.folder / RESULTS),
        folder=run.folder,
        attacked=attacked.folder,
        classes=data.description.classes,
        examples=attack_examples(attacked.folder, data, settings.examples),
    )


def _header_patch(subject: Subject) -> int | str:
    setting = subject.patch_setting
    return ",".join(map(str, setting)) if isinstance(setting, tuple) else setting


def _clip(settings: AttackSettings, subject: Subject) -> tuple[float, float]:
    """Return the smallest and the largest value of all normalised test images."""
    everything = replace(settings.dataset, limit=None).load(subject.model.image_px, settings.run.seed).split("test")
    images = (everything[i].image for i in settings.run.track(range(len(everything)), "Reading", len(everything)))
    if not isinstance(subject.model, AttackableModel):
        raise ConfigurationError(
            f"attack.space=authors needs a model with a mean and a standard deviation, not {subject.name}"
        )
    return normalised_range(images, subject.model)


def _source(settings: AttackSettings) -> dict[str, str]:
    """Return the location of the images and their resizing, before any attack."""
    dataset = settings.dataset
    if dataset.name == "attacked" and dataset.root is not None:
        return dict(read_header(dataset.root).source_settings)
    given = {"root": dataset.root, "labels": dataset.labels, "resize": dataset.resize}
    return {name: str(value) for name, value in given.items() if value is not None}


def _write(
    settings: AttackSettings, subject: Subject, made: PatchAttack, images: AttackedImages, environment: Environment
) -> None:
    rows = images.facts
    n = len(rows)
    result = AttackResult(
        dataset=subject.description.name,
        model=subject.name,
        patch=subject.patch_setting,
        attack=made.name,
        attack_settings=made.settings(),
        n=n,
        before=Accuracy(sum(row.clean_prediction == row.label for row in rows), n),
        after=Accuracy(sum(row.prediction == row.label for row in rows), n),
        successes=sum(row.success for row in rows),
        attacked=str(images.folder),
        weights_sha256=subject.weights_sha256,
        seed=settings.run.seed,
        environment=environment,
        checkpoint=None if settings.checkpoint is None else str(settings.checkpoint),
        command=settings.run.command,
        config=subject.config(settings.run.config),
    )
    result.write(settings.run.folder / RESULTS)
