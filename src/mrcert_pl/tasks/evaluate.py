"""Certification of the test images of a data set with one defender."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from mrcert_pl.callbacks import ImageProgressBar, Throughput
from mrcert_pl.data import ImageDataModule, Sample
from mrcert_pl.defenders import Defender, Detector, OutputLevel, Verdicts
from mrcert_pl.defenders.refined import Refined, lattice_of
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.lit import Certification
from mrcert_pl.metrics.certified_detection import DETECTIONS, HARMFUL_ALERTS
from mrcert_pl.metrics.certified_recovery import ACCURACIES, ADVERSARIAL
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.models.protocols import GridModel
from mrcert_pl.mutants import MutantSet, PredictionTable, TableStore, stored_header
from mrcert_pl.mutants.store import store_header
from mrcert_pl.results.examples import DefenceExample, Example, verdict_examples
from mrcert_pl.results.locations import Locations, read_locations, write_locations
from mrcert_pl.results.rows import count_locations, verdict_rows
from mrcert_pl.results.runs import LOCATIONS, RESULTS, VERDICTS, read_deltas
from mrcert_pl.results.schema import OF_HARMFUL, Accuracy, Environment, EvaluationResult, MutantFacts, VerdictRow
from mrcert_pl.results.verdicts import VerdictWriter, merge_verdicts, read_verdicts
from mrcert_pl.tasks.announce import announce_cost, announce_run
from mrcert_pl.tasks.examples import defence_examples, image_source
from mrcert_pl.tasks.resume import store_folder
from mrcert_pl.tasks.runtime import device_of, log, opened
from mrcert_pl.tasks.settings import TrainerSettings, check_choice, check_number
from mrcert_pl.tasks.stored import decide_stored, stored_subject
from mrcert_pl.tasks.subject import Subject, SubjectSettings, defender_of, load_subject

# Output level of the defender.
_LEVELS = {"full": OutputLevel("table"), "lazy": OutputLevel("map")}


@dataclass(frozen=True)
class EvaluationSettings(SubjectSettings):
    """Settings of :func:`evaluate`, in addition to those of :class:`mrcert_pl.tasks.subject.SubjectSettings`.

    Attributes:
        defender: defender, or its name in the registry.
        trainer: devices and precision.
        batch_size: images per batch and device.
        evaluate: ``full`` (all mutants) or ``lazy`` (only mutants that can change a verdict; same verdicts); default:
            full, and lazy for a refined defender.
        store: folder of mutant labels, shared by defenders, or ``last`` for that of the newest earlier run; default: in
            the run folder.
        table: folder of stored mutant labels to decide on, without model and images.
        token_budget: token budget per batch; default: derived from free device memory.
        examples: number of images, or image ids, to return with their verdicts.
        numerics: ``numerics.json`` of an audit of the same weights, recorded in results.
        reported: published accuracies by name, recorded in results.
    """

    defender: Defender[Any] | str = "mrcert"
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    batch_size: int = 8
    evaluate: str | None = None
    store: str | Path | None = None
    table: Path | None = None
    token_budget: int | None = None
    examples: int | Sequence[int] = 0
    numerics: Path | None = None
    reported: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("batch_size", self.batch_size, 1)
        check_number("token_budget", self.token_budget, 1, optional=True)
        if self.evaluate is not None:
            check_choice("evaluation (evaluate=)", self.evaluate, list(_LEVELS))
        if isinstance(self.examples, int):
            check_number("examples", self.examples, 0)
        elif isinstance(self.examples, str) or not isinstance(self.examples, Sequence):
            raise ConfigurationError(
                f"examples must be a number of images or a list of their ids, got {self.examples!r}"
            )
        known = tuple(dict.fromkeys((*ACCURACIES, ADVERSARIAL, *DETECTIONS, HARMFUL_ALERTS)))
        if wrong := [name for name in self.reported if name not in known]:
            raise unknown("accuracy (reported=)", wrong[0], known)

    @property
    def mode(self) -> str:
        """``full`` or ``lazy``."""
        return self.evaluate or ("lazy" if isinstance(self.defender, Refined) else "full")


@dataclass(frozen=True)
class Evaluation:
    """Result of :func:`evaluate`, the same on every process.

    Attributes:
        result: accuracies and facts about their measurement; ``results.json`` in the folder.
        rows: one verdict per image; ``verdicts.parquet`` in the folder.
        locations: numbers of images by location of the patch; ``locations.npz``, if the defender has a map.
        folder: folder of the run.
        tables: folder of the mutant labels.
        classes: names of the classes.
        examples: the requested images with their verdicts.
        defences: the same beside the originals, for an attacked set.
    """

    result: EvaluationResult
    rows: Sequence[VerdictRow]
    locations: Locations | None
    folder: Path
    tables: Path
    classes: Sequence[str]
    examples: Sequence[Example] = ()
    defences: Sequence[DefenceExample] = ()


def evaluate(settings: EvaluationSettings) -> Evaluation:
    """Certify the test images with one defender; write the result and one verdict per image to the run folder.

    Raises:
        ConfigurationError: for settings that cannot work.
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        DataError: for missing images.
        ResultsError: for tables made by something else.
        NumericalError: for logits that are not finite.
    """
    with opened(settings.run, leaves=RESULTS):
        return _evaluate(settings) if settings.table is None else _reapply(settings, settings.table)


def _evaluate(settings: EvaluationSettings) -> Evaluation:
    run = settings.run
    defender = defender_of(settings.defender, settings.patches).with_output(_LEVELS[settings.mode])
    subject = load_subject(settings, defender)
    mutants = defender.mutants(subject.model, subject.patch, subject.stride)
    data = settings.dataset.load(subject.model.image_px, run.seed, batch_size=settings.batch_size)
    ids = [record.id for record in data.split("test").records]
    _check_examples(settings.examples, ids)
    delta = _deltas(settings.numerics, subject.weights_sha256)
    trainer = settings.trainer.make(
        run.folder, run.loggers, [Throughput(), *([ImageProgressBar()] if settings.trainer.progress else [])]
    )
    header = store_header(
        dataset=settings.dataset.name,
        model=describe_model(subject.model),
        weights_sha256=subject.weights_sha256,
        precision=str(trainer.precision),
        mutants=mutants,
        borders=subject.model.borders if isinstance(subject.model, GridModel) else None,
        names={"dataset": subject.description.name, "model": subject.name},
    )
    store = TableStore(store_folder(settings.store, run.folder), header)
    if trainer.is_global_zero:
        announce_run(
            data, {"test": len(ids)}, subject.name, mutants, device_of(trainer), str(trainer.precision), run.folder
        )
        if len(store):
            log.info("%s has tables of %d images; their entries are not computed again", store.folder, len(store))
        missing = len(set(ids) - set(store.ids()))
        announce_cost(
            subject.model, mutants, missing, settings.token_budget, trainer.strategy.root_device, trainer.world_size
        )
    parts = [run.folder / f".verdicts.{rank}.parquet" for rank in range(trainer.world_size)]
    attacked = subject.description.attacked is not None
    with VerdictWriter(parts[trainer.global_rank]) as writer:
        keep = _row_writer(writer, subject, mutants)
        certification = Certification(
            subject.model, mutants, defender, settings.token_budget, store, attacked, on_batch=keep
        )
        started = time.perf_counter()
        try:
            trainer.test(certification, data, verbose=False)
        except BaseException:
            if certification.finished:
                log.warning(
                    "the mutants of %d finished images are kept: the same command with store=%s continues there",
                    certification.finished,
                    store.folder,
                )
            raise
        finally:
            store.flush()
    seconds = time.perf_counter() - started
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        rows = merge_verdicts(parts, run.folder / VERDICTS)
        _check_complete([row.id for row in rows], ids, certification.counts["n"])
        facts = {
            "checkpoint": None if settings.checkpoint is None else str(settings.checkpoint),
            "table": str(store.folder.absolute()),
            "delta": delta,
            "seconds": round(seconds, 3),
            "environment": Environment.here(device_of(trainer), str(trainer.precision)),
        }
        _write(settings, subject, defender, mutants, certification.counts, rows, facts)
    trainer.strategy.barrier()
    return _outcome(settings, subject, mutants, data, store.folder)


def _reapply(settings: EvaluationSettings, folder: Path) -> Evaluation:
    """Decide on the labels of an earlier evaluation: no weights, no images, seconds."""
    run = settings.run
    defender = defender_of(settings.defender, settings.patches).with_output("map")
    stored = stored_header(folder)
    subject = stored_subject(settings, stored, folder)
    mutants = defender.mutants(subject.model, subject.patch, subject.stride)
    here = {"dataset": settings.dataset.name, "model": describe_model(subject.model), "mutants": mutants.identity()}
    store = TableStore(folder, {**stored, **here})
    data = settings.dataset.load(subject.model.image_px, run.seed, batch_size=settings.batch_size)
    # With a limit the data set determines the images; without a limit its files are not needed.
    only = None if settings.dataset.limit is None else {record.id for record in data.split("test").records}
    attacked = subject.description.attacked is not None
    started = time.perf_counter()
    part = run.folder / ".verdicts.0.parquet"
    with VerdictWriter(part) as writer:
        counts = decide_stored(store, mutants, defender, attacked, only, _row_writer(writer, subject, mutants))
    rows = merge_verdicts([part], run.folder / VERDICTS)
    facts = {
        "table": str(folder.absolute()),
        "delta": _deltas(settings.numerics, subject.weights_sha256),
        "seconds": round(time.perf_counter() - started, 3),
        "environment": Environment.here("stored tables", stored["precision"]),
    }
    _write(settings, subject, defender, mutants, counts, rows, facts)
    return _outcome(settings, subject, mutants, data, folder)


def _row_writer(
    writer: VerdictWriter, subject: Subject, mutants: MutantSet
) -> Callable[[Sample, PredictionTable[Any], Verdicts], None]:
    """Return what writes the verdicts of a batch."""
    flops = TableFlops.known(subject.model, mutants.hidden)

    def keep(batch: Sample, table: PredictionTable[Any], verdicts: Verdicts) -> None:
        rows = verdict_rows(
            batch.id.tolist(),
            batch.path,
            batch.label.tolist(),
            table,
            verdicts,
            subject.model,
            subject.patch,
            flops,
        )
        writer.add(rows)

    return keep


def _write(
    settings: EvaluationSettings,
    subject: Subject,
    defender: Defender[Any],
    mutants: MutantSet,
    counts: Mapping[str, int],
    rows: Sequence[VerdictRow],
    facts: Mapping[str, Any],
) -> None:
    """Write the result and the counts by location beside the verdicts."""
    folder = settings.run.folder
    gflops = [row.gflops for row in rows if row.gflops is not None]
    refinement = defender.refinement if isinstance(defender, Refined) else {}
    result = EvaluationResult(
        dataset=subject.description.name,
        model=subject.name,
        patch=subject.patch_setting,
        defender=defender.name,
        defender_settings=dict(defender.settings),
        round_trip_note=defender.round_trip_note,
        n=counts["n"],
        accuracy=_accuracies(counts, settings.reported),
        mutants=MutantFacts.of(mutants.summary()),
        mutants_per_image=round(fmean(row.mutants_evaluated for row in rows), 2),
        gflops_per_image=round(fmean(gflops), 6) if gflops else None,
        weights_sha256=subject.weights_sha256,
        margin=getattr(defender, "margin", None),
        seed=settings.run.seed,
        command=settings.run.command,
        config=subject.config({**settings.run.config, "evaluate": settings.mode, **refinement}),
        **facts,
    )
    result.write(folder / RESULTS)
    certified = counts["certified_ratio" if isinstance(defender, Detector) else "certified"]
    if defender.name != "undefended" and not certified:
        log.warning(
            "none of the %d images is certified: the model may need more training with masks, or a smaller patch",
            counts["n"],
        )
    lattice = lattice_of(mutants)
    if lattice is not None and isinstance(subject.model, GridModel):
        counted = count_locations(rows, lattice.masks, subject.model.borders, subject.patch)
        if counted is not None:
            write_locations(folder / LOCATIONS, counted)


def _accuracies(counts: Mapping[str, int], reported: Mapping[str, float | None]) -> dict[str, Accuracy]:
    """Return the accuracies of counts; the adversarial one is of the images that the base model misclassifies."""
    n = counts["n"]
    totals = {name: n - counts["base"] if name in OF_HARMFUL else n for name in counts}
    return {name: Accuracy(count, totals[name], reported.get(name)) for name, count in counts.items() if name != "n"}


def _outcome(
    settings: EvaluationSettings, subject: Subject, mutants: MutantSet, data: ImageDataModule, tables: Path
) -> Evaluation:
    """Return what the first process has written, with the requested images."""
    folder, rows = settings.run.folder, read_verdicts(settings.run.folder / VERDICTS)
    locations = folder / LOCATIONS
    examples: list[Example] = []
    if settings.examples:
        lattice = lattice_of(mutants)
        grid = lattice is not None and isinstance(subject.model, GridModel)
        model: Any = subject.model
        evidence: Any = (model.borders, lattice, subject.patch) if grid else ()
        examples = verdict_examples(rows, settings.examples, image_source(data), *evidence)
    return Evaluation(
        result=EvaluationResult.read(folder / RESULTS),
        rows=rows,
        locations=read_locations(locations) if locations.exists() else None,
        folder=folder,
        tables=tables,
        classes=data.description.classes,
        examples=examples,
        defences=defence_examples(settings.dataset, examples),
    )


def _deltas(numerics: Path | None, weights_sha256: str) -> Mapping[str, float] | None:
    """Return the spread of logits that an audit of the same weights measured, by precision."""
    return None if numerics is None else read_deltas(numerics, weights_sha256)


def _check_examples(examples: int | Sequence[int], ids: Sequence[int]) -> None:
    """Make sure that the requested images are there, before any is evaluated."""
    if not isinstance(examples, int) and (missing := sorted(set(examples) - set(ids))):
        raise ConfigurationError(
            f"examples= names images that are not evaluated: {missing}; verdicts.parquet of an earlier run lists the "
            "ids, and a number instead of a list draws that many"
        )


def _check_complete(seen: Sequence[int], expected: Sequence[int], counted: int) -> None:
    """Make sure that every image was counted exactly once, whatever the number of devices."""
    if sorted(seen) != sorted(expected) or counted != len(expected):
        raise RuntimeError(
            f"the test set has {len(expected)} images; {len(set(seen))} different ones gave {len(seen)} verdicts, "
            f"of which {counted} were counted"
        )


__all__ = ["Evaluation", "EvaluationSettings", "evaluate"]
