"""Certification of the test images of a data set with one defender."""

import time
from collections.abc import Sequence

from mrcert_pl.callbacks import ImageProgressBar, Throughput
from mrcert_pl.lit import Certification
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.models.protocols import GridModel
from mrcert_pl.mutants import TableStore
from mrcert_pl.mutants.store import store_header
from mrcert_pl.results.runs import RESULTS, VERDICTS
from mrcert_pl.results.schema import Environment
from mrcert_pl.results.verdicts import VerdictWriter, merge_verdicts
from mrcert_pl.tasks.announce import announce_cost, announce_run
from mrcert_pl.tasks.evaluation import LEVELS, Evaluation, EvaluationSettings
from mrcert_pl.tasks.evaluation_record import read_evaluation, row_writer, write_evaluation
from mrcert_pl.tasks.resume import store_folder
from mrcert_pl.tasks.runtime import device_of, log, opened
from mrcert_pl.tasks.stored import evaluate_stored
from mrcert_pl.tasks.subject import defender_of, load_subject


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
        return _evaluate(settings) if settings.table is None else evaluate_stored(settings, settings.table)


def _evaluate(settings: EvaluationSettings) -> Evaluation:
    run = settings.run
    defender = defender_of(settings.defender, settings.patches).with_output(LEVELS[settings.mode])
    subject = load_subject(settings, defender)
    mutants = defender.mutants(subject.model, subject.patch, subject.stride)
    data = settings.dataset.load(subject.model.image_px, run.seed, batch_size=settings.batch_size)
    ids = [record.id for record in data.split("test").records]
    settings.check_examples(ids)
    delta = settings.deltas(subject.weights_sha256)
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
        keep = row_writer(writer, subject, mutants)
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
        write_evaluation(settings, subject, defender, mutants, certification.counts, rows, facts)
    trainer.strategy.barrier()
    return read_evaluation(settings, subject, mutants, data, store.folder)


def _check_complete(seen: Sequence[int], expected: Sequence[int], counted: int) -> None:
    """Make sure that every image was counted exactly once, whatever the number of devices."""
    if sorted(seen) != sorted(expected) or counted != len(expected):
        raise RuntimeError(
            f"the test set has {len(expected)} images; {len(set(seen))} different ones gave {len(seen)} verdicts, "
            f"of which {counted} were counted"
        )


__all__ = ["Evaluation", "EvaluationSettings", "evaluate"]
