"""Evaluations on stored tables: no weights, no images."""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from mrcert_pl.data import ImageDataModule, Sample
from mrcert_pl.defenders import Defender, Verdicts
from mrcert_pl.errors import DataError, ResultsError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.metrics import accuracy_of
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.models.rebuild import geometry_of
from mrcert_pl.mutants import MutantSet, PredictionTable, TableStore, stored_header
from mrcert_pl.results.runs import VERDICTS
from mrcert_pl.results.schema import Environment
from mrcert_pl.results.verdicts import VerdictWriter, merge_verdicts
from mrcert_pl.tasks.evaluation import Evaluation, EvaluationSettings
from mrcert_pl.tasks.evaluation_record import read_evaluation, row_writer, write_evaluation
from mrcert_pl.tasks.settings import ModelSettings
from mrcert_pl.tasks.subject import Subject, SubjectSettings, defender_of


def stored_subject(settings: SubjectSettings, stored: Mapping[str, Any], folder: Path) -> Subject:
    """Return the model, without weights, the patch and the data set of a store.

    Raises:
        ResultsError: for an unknown kind of model.
        ConfigurationError: without a patch.
    """
    described, texts = stored.get("model"), (stored.get("weights_sha256"), stored.get("precision"))
    named = isinstance(described, Mapping) and isinstance(described.get("config"), Mapping) and "model" in described
    if not named or not all(isinstance(text, str) for text in texts):
        raise ResultsError(f"the tables in {folder} have a malformed header; evaluate again")
    description = settings.dataset.describe()
    given, theirs = settings.model, stored["model"]["model"]
    model: BaseModel
    if isinstance(given, BaseModel) and type(given).__name__ == theirs:
        model = given
    else:
        model = geometry_of(stored["model"], folder, given.build if isinstance(given, ModelSettings) else None)
    name = given.name if isinstance(given, ModelSettings) else type(model).__name__
    if settings.patch is None:
        raise ResultsError("the tables state no patch; give patch=")
    stride = 1 if settings.stride is None else settings.stride
    patch = PatchSpec(settings.patch, count=settings.patches)
    return Subject(model, name, patch, stride, description, stored["weights_sha256"])


def decide_stored(
    store: TableStore,
    mutants: MutantSet,
    defender: Defender[Any],
    attacked: bool,
    only: Collection[int] | None,
    keep: Callable[[Sample, PredictionTable[Any], Verdicts], None],
) -> dict[str, int]:
    """Return the counts of one defender on stored tables.

    Args:
        store: the tables.
        mutants: mutants of the defender.
        defender: defender.
        attacked: count the images that the base model misclassifies separately.
        only: image ids; default: all images with a table.
        keep: callback with the ids, tables and verdicts of every batch.

    Raises:
        ConfigurationError: if the tables lack labels that the defender needs.
    """
    metric = accuracy_of(defender, attacked)
    for images, table in store.batches(mutants, only):
        verdicts = defender.decide(table)
        label = torch.tensor(images["label"])
        metric.update(verdicts, label, base=table.labels[:, 0])
        keep(Sample(torch.empty(len(label), 0), label, torch.tensor(images["id"]), images["path"]), table, verdicts)
    return metric.counts()


def _check_examples(
    settings: EvaluationSettings, store: TableStore, data: ImageDataModule, only: Collection[int] | None
) -> None:
    """Check, before anything is decided, that the images to draw have tables and are available."""
    if not settings.examples:
        return
    ids = set(store.ids()) if only is None else set(store.ids()) & set(only)
    settings.check_examples(ids)
    if missing := ids - {record.id for record in data.split("test").records}:
        raise DataError(
            f"examples= needs the images of the tables, and {data.root} lacks {len(missing)} of {len(ids)}; give the "
            "dataset.root of the evaluation that made them, or examples=0"
        )


def evaluate_stored(settings: EvaluationSettings, folder: Path) -> Evaluation:
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
    _check_examples(settings, store, data, only)
    attacked = subject.description.attacked is not None
    started = time.perf_counter()
    part = run.folder / ".verdicts.0.parquet"
    with VerdictWriter(part) as writer:
        counts = decide_stored(store, mutants, defender, attacked, only, row_writer(writer, subject, mutants))
    rows = merge_verdicts([part], run.folder / VERDICTS)
    facts = {
        "table": str(folder.absolute()),
        "delta": settings.deltas(subject.weights_sha256),
        "seconds": round(time.perf_counter() - started, 3),
        "environment": Environment.here("stored tables", stored["precision"]),
    }
    write_evaluation(settings, subject, defender, mutants, counts, rows, facts)
    return read_evaluation(settings, subject, mutants, data, folder)
