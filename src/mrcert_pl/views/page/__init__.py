"""One HTML page of everything that runs have left; it needs no network and no other file."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole
from mrcert_pl.results.compare import Comparison
from mrcert_pl.results.labels import named
from mrcert_pl.results.runs import EvaluationRun, Leftovers
from mrcert_pl.results.seeds import AnyResult
from mrcert_pl.views.page.accuracy import accuracy_sections, meaning_section
from mrcert_pl.views.page.audits import attack_section, benchmark_section, certificate_section, numerics_section
from mrcert_pl.views.page.comparison import comparison_section
from mrcert_pl.views.page.configuration import configuration_section
from mrcert_pl.views.page.costs import cost_sections
from mrcert_pl.views.page.parts import anchored
from mrcert_pl.views.page.verdicts import case_section, example_section, location_section
from mrcert_pl.views.words import families

__all__ = ["write_page"]

_PROMISES = {
    "recovery": "A certificate says: every image that differs from this one inside one patch of at most the given size "
    "gets the same label, the clean original included if this image was patched. It does not say that the label is "
    "correct.",
    "detection": "A certificate of a detector says: every image that differs from this one inside one patch of at most "
    "the given size gets the certified label or raises an alert. It does not say that the label is correct.",
}


def write_page(
    path: Path,
    runs: Sequence[EvaluationRun],
    results: Sequence[AnyResult],
    leftovers: Leftovers | None = None,
    comparison: Comparison | None = None,
) -> Path:
    """Write the page.

    Args:
        path: HTML file.
        runs: Evaluations, for their verdicts, drawings and settings.
        results: Results in the tables of accuracies: those of the runs, or those over seeds.
        leftovers: Attacks, audits and benchmarks.
        comparison: Comparison of two of the runs.

    Raises:
        ResultsError: If a file of a run is damaged, or the page cannot be written.
    """
    if path.is_dir():
        raise ResultsError(f"{path} is a folder; name the file that the page shall be, such as {path / 'report.html'}")
    names, others = named(runs), leftovers or Leftovers()
    verdicts = {name: run.verdicts() for name, run in names.items()}
    sections = [
        meaning_section(results),
        *accuracy_sections(results),
        *cost_sections(results),
        comparison_section(comparison) if comparison else None,
        case_section(verdicts),
        location_section(names),
        attack_section(others.attacks),
        certificate_section(others.certificate_audits),
        numerics_section(others.numerics),
        benchmark_section(others.benchmarks),
        example_section(names, verdicts),
        configuration_section(names),
    ]
    environment = Environment(
        loader=PackageLoader("mrcert_pl.views.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html").render(
        title=_title(results) if comparison is None else _title_of(comparison),
        promises=[_PROMISES[kind] for kind in _kinds(results)],
        sections=anchored(section for section in sections if section),
        made=f"{datetime.now():%Y-%m-%d %H:%M} by mrcert_pl {version('mrcert_pl')}",
        evaluations=len(runs),
    )
    return write_whole(path, lambda partial: partial.write_text(html, encoding="utf-8"), chosen_by="--html")


def _kinds(results: Sequence[AnyResult]) -> list[str]:
    """Kinds of certificates of some results."""
    return ["detection" if "alerts" in part[0].accuracy else "recovery" for part in families(results)]


def _title(results: Sequence[AnyResult]) -> str:
    return f"Certified {' and '.join(_kinds(results))}: results"


def _title_of(comparison: Comparison) -> str:
    a, b = (result.defender for result in comparison.results)
    return f"Comparison of {a} and {b} on {comparison.results[0].dataset}"
