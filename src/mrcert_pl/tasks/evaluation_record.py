"""Files of an evaluation: verdicts, result, counts by location."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from mrcert_pl.data import ImageDataModule, Sample
from mrcert_pl.defenders import Defender, Detector, Verdicts
from mrcert_pl.defenders.refined import Refined, lattice_of
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.models.protocols import GridModel
from mrcert_pl.mutants import MutantSet, PredictionTable
from mrcert_pl.results.examples import Example, verdict_examples
from mrcert_pl.results.locations import read_locations, write_locations
from mrcert_pl.results.rows import count_locations, verdict_rows
from mrcert_pl.results.runs import LOCATIONS, RESULTS, VERDICTS
from mrcert_pl.results.schema import OF_HARMFUL, Accuracy, EvaluationResult, MutantFacts, VerdictRow
from mrcert_pl.results.verdicts import VerdictWriter, read_verdicts
from mrcert_pl.tasks.evaluation import Evaluation, EvaluationSettings
from mrcert_pl.tasks.examples import defence_examples, image_source
from mrcert_pl.tasks.runtime import log
from mrcert_pl.tasks.subject import Subject


def row_writer(
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


def write_evaluation(
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
    limited = [row.limit_reached for row in rows if row.limit_reached is not None]
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
        limit_reached=sum(limited) if limited else None,
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


def read_evaluation(
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
