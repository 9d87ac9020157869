"""What a result says about itself: subject, defender, mutants, counts and costs."""

from collections.abc import Sequence
from math import fsum
from statistics import fmean

from mrcert_pl.defenders.registry import OWN
from mrcert_pl.results.schema import ADVERSARIAL, VerdictRow
from mrcert_pl.verification.differences import Differences, plain
from mrcert_pl.verification.evaluation import Evaluation
from mrcert_pl.verification.rules import DETECTORS, NO_ROUND_TRIP


def compare_subject(evaluation: Evaluation, differences: Differences) -> None:
    """Compare data set, model, precision, patch and seed with the header of the tables and the configuration."""
    result, header, config = evaluation.result, evaluation.evidence.header, evaluation.result.config
    named = header.get("names", {})
    for name in ("dataset", "model"):
        if isinstance(named, dict) and name in named:
            differences.expect(None, name, getattr(result, name), named[name])
    if "precision" in header:
        differences.expect(None, "environment.precision", result.environment.precision, header["precision"])
    for name in ("patch", "seed"):
        if name in config:
            differences.expect(None, name, plain(getattr(result, name)), plain(config[name]))
    # Votes have no masks, hence no placements.
    for placements, shape in zip(evaluation.placements, evaluation.shapes, strict=False):
        if result.defender != "undefended" and (missed := placements.uncovered()) is not None:
            text = f"no mask covers the {shape[0]}x{shape[1]} px patch whose top left pixel is {missed}"
            differences.expect(None, "patch", plain(result.patch), text)


def compare_defender(evaluation: Evaluation, differences: Differences) -> None:
    """Compare settings, margin and the reason for missing round trips with configuration and rule."""
    result, settings = evaluation.result, evaluation.settings
    configured = result.config.get("defender")
    if isinstance(configured, dict):
        stated = {n: v for n, v in configured.items() if n not in ("name", "_target_")}
        differences.expect(None, "defender_settings", settings, stated)
    fixed = evaluation.parameters
    if "certificate" in fixed:
        given = settings.get("certificate", fixed["certificate"])
        differences.expect(None, "defender_settings.certificate", given, fixed["certificate"])
    margin = settings.get("margin", fixed.get("margin"))
    differences.expect(None, "margin", result.margin, None if margin is None else float(margin))
    possible = result.defender not in NO_ROUND_TRIP and settings.get("patches", 2) > 1
    # Why another defender has no round trip, only its author can say.
    if result.defender in OWN and (result.round_trip_note is None) != possible:
        differences.expect(None, "round_trip_note", result.round_trip_note, None if possible else "a reason")


def compare_mutants(evaluation: Evaluation, differences: Differences) -> None:
    """Compare kind and numbers of the mutants with their enumeration."""
    mutants, stated = evaluation.mutants, evaluation.stated
    if evaluation.refined is not None:
        threshold = evaluation.result.config.get("refine_threshold", mutants["threshold"])
        differences.expect(None, "refine_threshold", threshold, mutants["threshold"])
    if "votes" in mutants:
        differences.expect(None, "mutants.votes", mutants["votes"], evaluation.sizes["votes"])
    differences.expect(None, "mutants.kind", stated.kind, evaluation.kind)
    for name in {*stated.sizes, *evaluation.sizes}:
        differences.expect(None, f"mutants.{name}", stated.sizes.get(name), evaluation.sizes.get(name))


def compare_counts(evaluation: Evaluation, differences: Differences) -> None:
    """Compare counts, percentages and mean costs with the rows."""
    rows, result = evaluation.claim.rows, evaluation.result
    detector, dataset = result.defender in DETECTORS, result.config.get("dataset")
    # None: the configuration does not say.
    attacked = dataset["name"] == "attacked" if isinstance(dataset, dict) and "name" in dataset else None
    counts = _accuracies(rows, detector, "harmful_alerts" in result.accuracy if attacked is None else attacked)
    if not detector and (ADVERSARIAL in result.accuracy if attacked is None else attacked):
        harmed = [row for row in rows if not row.base_correct]
        counts[ADVERSARIAL] = (sum(row.correct_and_certified for row in harmed), len(harmed))
    reported = result.config.get("reported") or {}
    for name in {*counts, *result.accuracy}:
        written = result.accuracy.get(name)
        pair = None if written is None else (written.count, written.n)
        differences.expect(None, f"accuracy.{name}", pair, counts.get(name))
        if written is not None and isinstance(reported, dict):
            differences.expect(None, f"accuracy.{name}.reported", written.reported, reported.get(name))
    mutants = fmean(row.mutants_evaluated for row in rows) if rows else 0.0
    differences.expect(None, "mutants_per_image", result.mutants_per_image, mutants, tolerance=0.00501)
    limited = [row.limit_reached for row in rows if row.limit_reached is not None]
    differences.expect(None, "limit_reached", result.limit_reached, sum(limited) if limited else None)
    gflops = [row.gflops for row in rows if row.gflops is not None]
    # Each may be the largest float, so that their sum is none.
    mean = fsum(one / len(gflops) for one in gflops) if gflops else None
    differences.expect(None, "gflops_per_image", result.gflops_per_image, mean, 1e-6 * (1 + (mean or 0.0)))


def _accuracies(rows: Sequence[VerdictRow], detector: bool, attacked: bool) -> dict[str, tuple[int, int]]:
    """Counts and their denominators, by name."""
    n = len(rows)
    counts = {"base": (sum(row.base_correct for row in rows), n), "clean": (sum(row.correct for row in rows), n)}
    if not detector:
        counts["certified"] = (sum(row.correct_and_certified for row in rows), n)
        counts["round_trip"] = (sum(row.correct_and_round_trip for row in rows), n)
        return counts
    certified = [row for row in rows if row.detection_certified]
    alerts = [row for row in rows if row.alerted]
    counts["certified_detection"] = (sum(row.correct for row in certified), n)
    counts["certified_ratio"] = (len(certified), n)
    counts["alerts"] = (len(alerts), n)
    if attacked:
        counts["harmful_alerts"] = (sum(not row.correct for row in alerts), sum(not row.correct for row in rows))
    return counts
