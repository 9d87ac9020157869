"""What a run shows in W&B: numbers, tables, charts and artifacts of typed results."""

from collections.abc import Sequence

from mrcert_pl.results.examples import AttackExample, Example
from mrcert_pl.results.kinds import kind_of
from mrcert_pl.results.locations import Locations
from mrcert_pl.results.schema import (
    AttackResult,
    CertificateAuditResult,
    EvaluationResult,
    NumericsResult,
    ThresholdResult,
    TrainingResult,
    VerdictRow,
)
from mrcert_pl.views.wandb import charts
from mrcert_pl.views.wandb.artifacts import Artifacts
from mrcert_pl.views.wandb.run import WandbRun
from mrcert_pl.views.words import audit_counts

MOST_EXAMPLES = 32
"""Largest useful number of images in a table."""

# Numbers of overlays; no two mean different things.
_HIDDEN = {1: "hidden from the witness"}
_ALERTED = {5: "hidden in the mutant that raises the alert"}
_SAFE = {2: "a patch centred here has no effect", 3: "not certified"}
_PATCH = {4: "the patch"}

_CASES = ("case", "certified", "images", "correct", "correct and certified", "correct and round trip")
_NUMERICS = ("computed differently", "largest difference", "other labels")
_VERDICTS = ("id", "case", "certified", "round_trip", "certified_patches", "certified_fraction", "mutants_evaluated")


def log_training(run: WandbRun, result: TrainingResult, artifacts: Artifacts) -> None:
    """Log the best score of a training and its lineage."""
    if result.monitor is not None and result.best_score is not None:
        run.numbers({result.monitor.replace("val/", "best/"): result.best_score})
    run.log_artifacts(artifacts)


def log_evaluation(
    run: WandbRun,
    result: EvaluationResult,
    rows: Sequence[VerdictRow],
    locations: Locations | None,
    examples: Sequence[Example],
    classes: Sequence[str],
    artifacts: Artifacts,
) -> None:
    """Log accuracies, Cases, locations and some images of an evaluation, and its lineage.

    Args:
        run: The run.
        result: The result.
        rows: Its verdicts.
        locations: Its maps, if the defender gives them.
        examples: Some images with their verdicts.
        classes: Names of the classes.
        artifacts: The lineage.
    """
    accuracies = charts.accuracies(result)
    run.numbers({"test/mutants_per_image": result.mutants_per_image, "test/n": result.n})
    if result.limit_reached is not None:
        run.numbers({"test/limit_reached": result.limit_reached})
    run.numbers({f"test/{name}": value for name, value in accuracies.items()})
    run.table("evaluation/result", charts.RESULT_COLUMNS, [charts.result_row(result)])
    run.bars("evaluation/accuracy", "Accuracy", ("accuracy", "measured"), accuracies.items())
    run.bars("evaluation/cases", "Certified fraction by Case", _CASES, charts.by_case(rows))
    if locations is not None:
        lines = charts.by_location(locations.counts[0] / locations.n)
        run.lines("evaluation/locations", "Fraction of images that a patch can't change", "its top left pixel", lines)
    if examples:
        _log_verdicts(run, examples, classes)
    run.log_artifacts(artifacts)


def log_attack(
    run: WandbRun,
    result: AttackResult,
    examples: Sequence[AttackExample],
    classes: Sequence[str],
    artifacts: Artifacts,
) -> None:
    """Log accuracy and some images before and after an attack, and its lineage."""
    both = {"base_before": result.before.measured, "base_after": result.after.measured}
    accuracies = {name: value for name, value in both.items() if value is not None}
    run.numbers({f"attack/{name}": value for name, value in accuracies.items()})
    run.numbers({"attack/n": result.n, "attack/success": result.successes / max(result.n, 1)})
    title = "Base accuracy before and after the attack"
    run.bars("attack/accuracy", title, ("accuracy", "measured"), accuracies.items())
    rows = []
    for example in examples:
        names = [classes[label] for label in (example.label, example.before_label, example.after_label)]
        overlays = {"patch": (4 * example.patch, _PATCH)}
        images = [run.image(example.before), run.image(example.after, overlays)]
        rows.append([*images, *names, example.success, example.loss, example.image_id])
    columns = ("image", "attacked image", "label", "before", "after", "success", "loss", "id")
    run.table("attack/images", columns, rows)
    run.log_artifacts(artifacts)


def log_audit(run: WandbRun, result: CertificateAuditResult | NumericsResult, artifacts: Artifacts) -> None:
    """Log what an audit has found, and its lineage."""
    if isinstance(result, NumericsResult):
        numbers = {f"delta_{precision}": delta for precision, delta in result.delta.items()}
        numbers |= {f"margin_{precision}": margin for precision, margin in result.margin.items()}
        rows = [[spread.method, spread.delta, spread.flips] for spread in result.spreads]
        run.bars("audit/numerics", "Audit of numerics", _NUMERICS, rows)
    else:
        numbers = _certificate_numbers(result)
        header, counts = audit_counts(result)
        tallies = [[attack.name, *counts(attack)] for attack in result.attacks]
        run.bars("audit/certificates", "Audit of certificates", ["patch", *header], tallies)
    run.numbers({f"audit/{name}": number for name, number in numbers.items()})
    run.log_artifacts(artifacts)


def log_thresholds(run: WandbRun, result: ThresholdResult, artifacts: Artifacts) -> None:
    """Log the accuracies of every threshold, and the lineage."""
    names = list(result.rows[0].accuracy)
    rows = [
        [row.threshold, *(row.accuracy[name].measured for name in names), row.mutants_per_image] for row in result.rows
    ]
    run.table("thresholds", ["threshold", *names, "mutants_per_image"], rows)
    run.log_artifacts(artifacts)


def log_overview(run: WandbRun, results: Sequence[EvaluationResult]) -> None:
    """Log all results of a project."""
    run.describe({"command": "dashboard"})
    run.table("overview/results", charts.RESULT_COLUMNS, map(charts.result_row, results))
    for accuracy, (prefix, title) in charts.OVERVIEWS.items():
        if bars := charts.by_defender(results, accuracy):
            run.bars(f"overview/{prefix}by_defender", title, ("evaluation", accuracy), bars)
        if lines := charts.by_patch(results, accuracy):
            run.lines(f"overview/{prefix}by_patch", f"{title} by patch size", "patch in px", lines)


def _certificate_numbers(result: CertificateAuditResult) -> dict[str, float]:
    images = max(result.images, 1)
    numbers: dict[str, float] = {
        "certified": result.certified / images,
        "round_trip": result.round_trip / images,
        "labels_broken": result.labels_broken,
        "certificates_broken": result.certificates_broken,
    }
    if result.seconds:
        numbers["patched_images_per_second"] = result.tried / result.seconds
        if result.mutants_evaluated is not None:
            numbers["mutants_per_second"] = result.mutants_evaluated / result.seconds
    return numbers


def _log_verdicts(run: WandbRun, examples: Sequence[Example], classes: Sequence[str]) -> None:
    rows = []
    for example in examples:
        row, size = example.row, (example.image.shape[0], example.image.shape[1])
        overlays = {}
        if example.hidden is not None:
            name, number, meaning = ("alert", 5, _ALERTED) if row.alerted else ("witness", 1, _HIDDEN)
            overlays[name] = (number * example.hidden, meaning)
        for number, safe in enumerate(example.maps, 1):
            name = "map" if len(example.maps) == 1 else f"map of shape {number}"
            overlays[name] = (charts.centred(safe, size), _SAFE)
        names = [classes[label] for label in (row.label, row.base_prediction, row.prediction)]
        plain = [getattr(row, name) for name in _VERDICTS]
        rows.append([run.image(example.image, overlays), kind_of(row), *names, *plain])
    columns = ("image", "verdict", "label", "base prediction", "prediction", *_VERDICTS)
    run.table("evaluation/verdicts", columns, rows)
