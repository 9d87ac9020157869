"""Words and numbers that all views share."""

from collections.abc import Callable, Sequence

from mrcert_pl.results.labels import labels
from mrcert_pl.results.schema import (
    ADVERSARIAL,
    Accuracy,
    AttackTally,
    CertificateAuditResult,
    EvaluationResult,
    SeedAccuracy,
    ThresholdRow,
)
from mrcert_pl.results.seeds import AnyResult, SeedsResult

TITLES = {"base": "base", "clean": "clean", "certified": "certified", "round_trip": "round trip"}
_DETECTION = {
    "certified_detection": "detection",
    "unwavering": "unwavering",
    "certified_ratio": "ratio",
    "alerts": "alerts",
    "harmful_alerts": "harmful alerts",
}
TITLES_OF_CROSSING = {"clean": "clean", **_DETECTION}
_ATTACKED = {ADVERSARIAL: "adv. certified"}
ALL_TITLES = TITLES | _ATTACKED | _DETECTION


def titles(results: Sequence[AnyResult] | Sequence[ThresholdRow]) -> dict[str, str]:
    """The accuracies that some results have, by name, with their titles; without results those of recovery."""
    found = {name for result in results for name in result.accuracy} or set(TITLES)
    if results and all("alerts" in result.accuracy for result in results):
        found.remove("base")  # the label of a detector is the base model's
    return {name: title for name, title in ALL_TITLES.items() if name in found}


def families(results: Sequence[AnyResult]) -> list[list[AnyResult]]:
    """Results of defenders that recover a label, then those of detectors: their accuracies share no table."""
    detectors = [result for result in results if "alerts" in result.accuracy]
    recovering = [result for result in results if "alerts" not in result.accuracy]
    return [part for part in (recovering, detectors) if part]


def percent(value: float) -> str:
    """A fraction in per cent, with one digit."""
    return f"{100 * value:.1f}"


def whole_percent(fraction: float) -> str:
    """A fraction in whole per cent; only none is 0 and only all is 100."""
    whole = round(100 * fraction)
    return f"{min(max(whole, 1), 99) if 0 < fraction < 1 else whole}%"


def printable(text: str) -> str:
    """A text with its control characters escaped, which a terminal would obey, and what UTF-8 cannot encode."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def accuracy_text(accuracy: Accuracy | SeedAccuracy | None, n: int) -> str:
    """An accuracy in per cent with its number of images, or with its spread over seeds, and the published value.

    Args:
        accuracy: Accuracy of one result, or over seeds.
        n: Images of the result; the accuracy's own number is named where it differs.
    """
    if accuracy is None or accuracy.measured is None:
        return "n/a"
    published = "" if accuracy.reported is None else f" [{percent(accuracy.reported)}]"
    if isinstance(accuracy, SeedAccuracy):
        spread = "" if accuracy.spread is None else f" ± {percent(accuracy.spread)}"
        return f"{percent(accuracy.measured)}{spread}{published}"
    of = "" if accuracy.n == n else f"/{accuracy.n}"
    return f"{percent(accuracy.measured)} ({accuracy.count}{of}){published}"


def gflops_text(gflops: float | None) -> str:
    """Operations in 10^9, in three significant digits."""
    return "n/a" if gflops is None else f"{gflops:,.0f}" if gflops >= 1000 else f"{gflops:.3g}"


def cells(results: Sequence[AnyResult]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of defenders, each named by the settings that tell it from others."""
    names, (heading, last) = titles(results), last_column(results)
    rows = [
        [
            label,
            *(accuracy_text(result.accuracy.get(name), result.n) for name in names),
            last(result),
        ]
        for label, result in zip(labels(results), results, strict=True)
    ]
    return ["defender", *names.values(), heading], rows


def last_column(results: Sequence[AnyResult]) -> tuple[str, Callable[[AnyResult], str]]:
    """Heading and cells of the column behind the accuracies: mutants per image, or seeds."""
    return ("seeds", seeds_text) if are_over_seeds(results) else ("mutants", _mutants_text)


def are_over_seeds(results: Sequence[AnyResult]) -> bool:
    """Whether some results combine several seeds."""
    return any(isinstance(result, SeedsResult) for result in results)


def seeds_text(result: AnyResult) -> str:
    """The seeds of a result."""
    return ", ".join(map(str, result.seeds))


def are_published(results: Sequence[AnyResult]) -> bool:
    """Whether some accuracy has a published value."""
    return any(accuracy.reported is not None for result in results for accuracy in result.accuracy.values())


def bar_words(results: Sequence[AnyResult]) -> str:
    """What the bars of a figure are."""
    return "Bars: one standard deviation over seeds" if are_over_seeds(results) else "Bars: 95 % intervals"


def legend(results: Sequence[AnyResult]) -> list[str]:
    """Explain the numbers of a table, one line each."""
    seeds = are_over_seeds(results)
    numbers = "accuracy in %" + (", mean ± standard deviation over seeds" if seeds else " (number of images)")
    numbers += ", [published value]" if are_published(results) else ""
    lines = [numbers if seeds else f"{numbers}; mutants: mean per image"]
    if ADVERSARIAL in titles(results):
        lines.append(
            "adv. certified: clean and certified, of the images that the base model misclassifies under attack"
        )
    if "alerts" in titles(results):
        lines.append(
            "detection: correct, and every patched version has this label or raises an alert; ratio: the same for the "
            "true label, whatever the label is; alerts: on these images as they are"
        )
    return lines + notes(results)


def notes(results: Sequence[AnyResult]) -> list[str]:
    """Explain what some results lack, one line each."""
    recovering = [result for result in results if "round_trip" in result.accuracy]
    unpromised = {result.defender: result.round_trip_note for result in recovering if result.round_trip_note}
    alike = [r.defender for r in results if isinstance(r, SeedsResult) and len(r.seeds) > r.weights]
    limited = [r for r in results if isinstance(r, EvaluationResult) and r.limit_reached]
    return [
        *(f"{defender}, round trip: {note}" for defender, note in unpromised.items()),
        *(
            f"{result.defender}: {result.limit_reached} of {result.n} images reached "
            f"refine_limit={result.config.get('refine_limit')}; certificates that were open then count as none"
            for result in limited
        ),
        *(
            f"{defender}: some seeds have the same weights, so the spread is too small"
            for defender in dict.fromkeys(alike)
        ),
    ]


def audited_text(result: CertificateAuditResult) -> str:
    """How many images an audit attacked."""
    if result.of_detector:
        return f"{result.certified} detection-certified of {result.images} images"
    return f"{result.certified} certified of {result.images} images ({result.round_trip} with a round trip)"


def audit_counts(result: CertificateAuditResult) -> tuple[list[str], Callable[[AttackTally], list[int | None]]]:
    """Headings and numbers of one kind of patch in an audit."""
    if result.of_detector:
        heading = ["tried", "other label with an alert", "and without one"]
        return heading, lambda tally: [tally.tried, tally.detected, tally.labels_broken]
    heading = ["tried", "labels broken", "certificates broken"]
    return heading, lambda tally: [tally.tried, tally.labels_broken, tally.certificates_broken]


def _mutants_text(result: AnyResult) -> str:
    return f"{result.mutants_per_image:.0f}"
