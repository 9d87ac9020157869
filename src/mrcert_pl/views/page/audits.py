"""Results of other commands beside the evaluations: attacks, audits, benchmarks."""

from collections.abc import Sequence
from dataclasses import fields

from mrcert_pl.results.labels import patch_text
from mrcert_pl.results.runs import Run
from mrcert_pl.results.schema import (
    AttackResult,
    BenchmarkResult,
    BenchmarkRow,
    CertificateAuditResult,
    NumericsResult,
)
from mrcert_pl.views.drawing import EmbeddedImage, data_uri
from mrcert_pl.views.page.accuracy import accuracy_cell
from mrcert_pl.views.page.parts import Number, Section, Table


def attack_section(runs: Sequence[Run[AttackResult]]) -> Section | None:
    """What attacks did to base models."""
    if not runs:
        return None
    rows: list[list[str | Number]] = []
    sheets = []
    for run in runs:
        result = run.result
        subject = f"{result.dataset}, {result.model}, {patch_text(result.patch)}"
        numbers = accuracy_cell(result.before), accuracy_cell(result.after)
        settings = result.attack_settings
        effort = [f"{settings[name]} {name}" for name in ("starts", "steps") if name in settings]
        rows.append([subject, Number(result.attack, effort), *numbers])
        if run.contact_sheet is not None:
            sheets.append(
                EmbeddedImage(
                    data_uri(run.contact_sheet.read_bytes(), "image/png"),
                    "Images before an attack, and below each the same image with the patch.",
                    f"{subject}: before the attack, and with the patch below",
                )
            )
    table = Table(
        "Accuracy of the base model in %, number of images and 95 % interval (Wilson)",
        ["attacked", "attack", "before", "after"],
        rows,
    )
    return Section("Attacks on the base model", tables=[table], images=sheets, size="own")


def certificate_section(runs: Sequence[Run[CertificateAuditResult]]) -> Section | None:
    """What attacks on certificates have tried and broken."""
    if not runs:
        return None
    recovery, detection = [], []
    for run in runs:
        audit = run.result
        if audit.of_detector:
            detection.append([*_audited(audit), str(audit.detected), str(audit.labels_broken)])
        else:
            recovery.append([*_audited(audit), str(audit.labels_broken), str(audit.certificates_broken)])
    header = ["audited", "certified images", "locations", "patches tried"]
    broken = [*header, "labels broken", "certificates broken"]
    silent = [*header, "other label with an alert", "and without one: broken"]
    tables = [
        Table("What was tried, and what broke", broken, recovery),
        Table("What was tried on detectors, and what broke", silent, detection),
    ]
    text = ["Certified images, attacked at every location of a grid. Anything but 0 broken is a defect."]
    return Section("Attacks on certificates", text, [table for table in tables if table.rows])


def _audited(audit: CertificateAuditResult) -> list[str | Number]:
    tried = Number(f"{audit.tried:,}", [f"{attack.tried:,} {attack.name}" for attack in audit.attacks])
    name = f"{audit.defender}, {audit.dataset}, {patch_text(audit.patch)}"
    return [name, f"{audit.certified} of {audit.images}", str(audit.placements), tried]


def numerics_section(runs: Sequence[Run[NumericsResult]]) -> Section | None:
    """How far logits move between methods of computation, and the margins that follow."""
    tables = []
    for run in runs:
        result = run.result
        name = f"{result.model}, weights {result.weights_sha256[:6]}"
        spreads = [[spread.method, f"{spread.delta:.1e}", str(spread.flips)] for spread in result.spreads]
        caption = f"{name}: logits of {result.mutants} mutants against each computed alone"
        tables.append(Table(caption, ["computed differently", "largest difference", "other labels"], spreads))
        margins = [[precision, f"{margin:.1e}"] for precision, margin in result.margin.items()]
        caption = f"{name}: margins that no such difference can break"
        tables.append(Table(caption, ["precision", "margin"], margins))
    return Section("Rounding", tables=tables) if tables else None


def benchmark_section(runs: Sequence[Run[BenchmarkResult]]) -> Section | None:
    """The methods of benchmarks, with everything that was measured of them."""
    names = [field.name for field in fields(BenchmarkRow)]
    header = [name.replace("_", " ") for name in names]
    tables = [
        Table(
            f"Measured in {run.folder.name or run.file}",
            header,
            [[_text(getattr(row, name)) for name in names] for row in run.result.rows],
        )
        for run in runs
    ]
    return Section("Benchmark", tables=tables) if tables else None


def _text(value: float | int | str | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
