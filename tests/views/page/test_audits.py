"""Sections of attacks, audits and benchmarks."""

import base64
from pathlib import Path
from typing import Any

from result_files import ENVIRONMENT

from mrcert_pl.results import (
    Accuracy,
    AttackResult,
    AttackTally,
    BenchmarkResult,
    BenchmarkRow,
    CertificateAuditResult,
    LogitDifference,
    NumericsResult,
)
from mrcert_pl.results.runs import Run
from mrcert_pl.views.page.audits import attack_section, benchmark_section, certificate_section, numerics_section
from mrcert_pl.views.page.parts import Number

SUBJECT: dict[str, Any] = {"dataset": "<digits>", "model": "vit_srf", "patch": 32}
ORIGIN: dict[str, Any] = {"weights_sha256": "ef" * 32, "seed": 0, "environment": ENVIRONMENT}


def test_without_runs_there_are_no_sections() -> None:
    sections = [attack_section([]), certificate_section([]), numerics_section([]), benchmark_section([])]
    assert sections == [None] * 4


def test_an_attack_with_and_without_a_contact_sheet(tmp_path: Path) -> None:
    result = AttackResult(
        **SUBJECT,
        **ORIGIN,
        attack="ifgsm",
        attack_settings={"starts": 8, "steps": 50, "seed": 0},
        n=20,
        successes=8,
        before=Accuracy(19, 20),
        after=Accuracy(11, 20),
        attacked="attacked",
    )
    runs = [Run(tmp_path / name / "results.json", result) for name in "ab"]
    runs[1].folder.mkdir()
    (runs[1].folder / "contact_sheet.png").write_bytes(b"\x89PNG")
    section = attack_section(runs)
    assert section is not None
    (table,) = section.tables
    before, after = table.rows[0][2:4]
    assert table.rows[0][:2] == ["<digits>, vit_srf, 32 px", Number("ifgsm", ["8 starts", "50 steps"])]
    assert isinstance(before, Number)
    assert isinstance(after, Number)
    assert (before.text, before.details[0], after.text) == ("95.0", "19 of 20", "55.0")
    (image,) = section.images
    assert base64.b64decode(image.source.removeprefix("data:image/png;base64,")) == b"\x89PNG"
    assert image.caption.startswith("<digits>, vit_srf, 32 px: ")


def test_an_audit_of_certificates_counts_by_attack(tmp_path: Path) -> None:
    tallies = AttackTally("adaptive", 1200, 0, 1), AttackTally("random", 34, 2, 0)
    counts = {"images": 8, "certified": 5, "round_trip": 0, "labels_broken": 2, "certificates_broken": 1}
    audit = CertificateAuditResult(**SUBJECT, **ORIGIN, **counts, defender="mrcert", placements=16, attacks=tallies)
    section = certificate_section([Run(tmp_path / "certificates.json", audit)])
    assert section is not None
    tried = Number("1,234", ["1,200 adaptive", "34 random"])
    assert section.tables[0].rows == [["mrcert, <digits>, 32 px", "5 of 8", "16", tried, "2", "1"]]


def test_an_audit_of_a_detector_has_a_table_of_its_own(tmp_path: Path) -> None:
    tallies = AttackTally("silent", 12, 2, 0, detected=7), AttackTally("random", 3, 0, 0, detected=1)
    counts = {"images": 8, "certified": 5, "round_trip": 0, "labels_broken": 2, "certificates_broken": 0}
    audit = CertificateAuditResult(**SUBJECT, **ORIGIN, **counts, defender="hicert", placements=3, attacks=tallies)
    section = certificate_section([Run(tmp_path / "certificates.json", audit)])
    assert section is not None
    (table,) = section.tables
    assert table.header[-2:] == ["other label with an alert", "and without one: broken"]
    tried = Number("15", ["12 silent", "3 random"])
    assert table.rows == [["hicert, <digits>, 32 px", "5 of 8", "3", tried, "8", "2"]]


def test_rounding_has_differences_and_margins(tmp_path: Path) -> None:
    spread = LogitDifference("one thread", "float32", 2e-6, 3, 80)
    margins = {"delta": {"float32": 2.1e-6}, "margin": {"float32": 4.2e-6}}
    numerics = NumericsResult(**SUBJECT, **ORIGIN, **margins, images=2, mutants=80, spreads=(spread,))
    section = numerics_section([Run(tmp_path / "numerics.json", numerics)])
    assert section is not None
    differences, margin = section.tables
    assert differences.caption == "vit_srf, weights efefef: logits of 80 mutants against each computed alone"
    assert differences.rows == [["one thread", "2.0e-06", "3"]]
    assert margin.rows == [["float32", "4.2e-06"]]


def test_a_benchmark_shows_every_measured_number(tmp_path: Path) -> None:
    timed = BenchmarkRow("labels", "engine", 439.0, 3.14159, 0.5, 1.0, 0.5)
    benchmark = BenchmarkResult("vit_srf", 32, 2, (timed,), 100.0, 1, ENVIRONMENT)
    section = benchmark_section([Run(tmp_path / "fast" / "bench.json", benchmark)])
    assert section is not None
    (table,) = section.tables
    assert table.caption == "Measured in fast"
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert (cells["part"], cells["method"], cells["gflops"], cells["peak mib"]) == ("labels", "engine", "3.142", "n/a")
