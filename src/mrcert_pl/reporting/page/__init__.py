"""One HTML page of everything that runs have left: it needs no network and no other file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_whole
from mrcert_pl.reporting.compare import Paired
from mrcert_pl.reporting.page.accuracy import accuracy_sections, meaning_section
from mrcert_pl.reporting.page.audits import attack_section, benchmark_section, certificate_section, numerics_section
from mrcert_pl.reporting.page.comparison import comparison_section
from mrcert_pl.reporting.page.configuration import configuration_section
from mrcert_pl.reporting.page.costs import cost_sections
from mrcert_pl.reporting.page.labels import label, named
from mrcert_pl.reporting.page.verdicts import case_section, example_section, place_section
from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import Result

__all__ = ["write_page"]


def write_page(
    path: Path,
    paths: Sequence[Path],
    runs: Sequence[Run],
    results: Sequence[Result],
    paired: Mapping[str, Paired] | None = None,
) -> Path:
    """Write the page.

    Args:
        path: the HTML file.
        paths: where attacks, audits and benchmarks are looked for.
        runs: evaluations, for their verdicts, pictures and settings.
        results: what the tables of accuracies show: the results of the runs, or those over seeds.
        paired: the accuracies of two runs image by image, if the page shall compare them.

    Raises:
        ResultsError: if a file of a run is damaged, or the page can't be written.
    """
    if path.is_dir():
        raise ResultsError(f"{path} is a folder; name the file that the page shall be, such as {path / 'report.html'}")
    names = named(runs)
    sections = [
        meaning_section(results),
        *accuracy_sections(label(results)),
        *cost_sections(results),
        comparison_section(runs[0], runs[1], paired) if paired else None,
        case_section(names),
        place_section(names),
        attack_section(paths),
        certificate_section(paths),
        numerics_section(paths),
        benchmark_section(paths),
        example_section(names),
        configuration_section(names),
    ]
    environment = Environment(
        loader=PackageLoader("mrcert_pl.reporting.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = f"{datetime.now():%Y-%m-%d %H:%M} by mrcert_pl {version('mrcert_pl')}"
    html = environment.get_template("report.html").render(
        sections=[s for s in sections if s], made=made, evaluations=len(runs)
    )
    return write_whole(path, lambda partial: partial.write_text(html, encoding="utf-8"), chosen_by="--html")
