"""The jobs of a multirun on the terminal: one row each, with differing settings and main figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from mrcert_pl.results.schema import (
    OF_HARMFUL,
    AttackResult,
    CertificateAuditResult,
    EvaluationResult,
    NumericsResult,
    RunDocument,
    ThresholdResult,
    TrainingResult,
)
from mrcert_pl.views.tables import show_table
from mrcert_pl.views.words import accuracy_text, percent, titles


@dataclass(frozen=True)
class Job:
    """A job of a multirun.

    Attributes:
        settings: Settings of its command line, by name.
        result: Its result; ``None`` without one.
        state: ``finished``, ``failed`` or ``not finished`` (running or killed).
    """

    settings: Mapping[str, str]
    result: RunDocument | None
    state: str = "finished"


def show_jobs(jobs: Sequence[Job], console: Console | None = None) -> None:
    """Print one row per job, named by the settings in which the jobs differ, and by its state unless all finished."""
    every = dict.fromkeys(name for job in jobs for name in job.settings)
    telling = [name for name in every if len({job.settings.get(name) for job in jobs}) > 1]
    names = [[job.settings.get(name, "") for name in telling] for job in jobs]
    if any(job.state != "finished" for job in jobs):
        telling.append("state")
        names = [[*texts, job.state] for texts, job in zip(names, jobs, strict=True)]
    found = [{} if job.result is None else _figures(job.result) for job in jobs]
    headings = list(dict.fromkeys(heading for figures in found for heading in figures))
    rows = [
        [*texts, *(figures.get(heading, "") for heading in headings)]
        for texts, figures in zip(names, found, strict=True)
    ]
    title = f"{len(jobs)} jobs (accuracy in %)"
    show_table(console or Console(), title, [*telling, *headings], rows, len(telling))


def _figures(result: RunDocument) -> dict[str, str]:
    """The main figures of a result, by heading."""
    if isinstance(result, EvaluationResult):
        shown = {name: result.accuracy[name] for name in titles([result])}
        texts = {
            name: accuracy_text(accuracy, result.n)
            if name in OF_HARMFUL or accuracy.measured is None
            else percent(accuracy.measured)
            for name, accuracy in shown.items()
        }
        named = {title: texts[name] for name, title in titles([result]).items()}
        return {**named, "n": str(result.n), "mutants": f"{result.mutants_per_image:.0f}"}
    if isinstance(result, TrainingResult):
        score = {} if result.best_score is None else {str(result.monitor): percent(result.best_score)}
        return score | ({} if result.seconds is None else {"seconds": f"{result.seconds:,.0f}"})
    if isinstance(result, AttackResult):
        before, after = (accuracy_text(accuracy, result.n) for accuracy in (result.before, result.after))
        return {"before": before, "after": after, "n": str(result.n), "successes": str(result.successes)}
    if isinstance(result, CertificateAuditResult):
        counts = {"images": result.images, "certified": result.certified, "round trip": result.round_trip}
        counts |= {"patches": result.tried, "broken": result.labels_broken + result.certificates_broken}
        return {heading: f"{count:,}" for heading, count in counts.items()}
    if isinstance(result, ThresholdResult) and result.best is not None:
        best = result.best
        found = {title: percent(best.accuracy[name].measured or 0.0) for name, title in titles([best]).items()}
        return {"best": f"{best.threshold:g}", **found, "n": str(result.n), "mutants": f"{best.mutants_per_image:.0f}"}
    if isinstance(result, NumericsResult):
        return {f"margin, {precision}": f"{margin:.1e}" for precision, margin in result.margin.items()}
    return {}
