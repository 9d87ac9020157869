"""Tables at 80, 100 and 120 columns: every word is there as a whole, no line is longer than the terminal."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from result_files import evaluation, result_of, row
from rich.console import Console

from mrcert_pl.results import Accuracy, compare
from mrcert_pl.results.schema import AttackTally, CertificateAuditResult, LogitDifference, NumericsResult
from mrcert_pl.tasks.plan import Plan, PlanRow
from mrcert_pl.views.plan import show_plan
from mrcert_pl.views.tables import show_table
from mrcert_pl.views.terminal import show_audit, show_comparison, show_numerics, show_results

ROWS = [row(i, base_prediction=int(i < 900), prediction=int(i < 800), certified=i < 500) for i in range(1000)]
DEFENDERS = ("undefended", "patchcure_paper", "mrcert_cascade")
WIDTHS = (80, 100, 120)
ABOUT: dict[str, Any] = {
    "dataset": "d",
    "model": "m",
    "patch": 1,
    "seed": 0,
    "environment": None,
    "weights_sha256": "a",
}


def shown(show: Callable[[Console], object], width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    show(console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "…" not in text
    return text


def words_of(text: str) -> list[str]:
    return sorted(re.sub("─+", " ", text).split())


def same_at_every_width(show: Callable[[Console], object], *whole: str, widths: tuple[int, ...] = WIDTHS) -> None:
    """Nothing that a very wide terminal shows is missing at any width, or clipped."""
    wide = words_of(shown(show, 1000))
    for width in widths:
        text = shown(show, width)
        assert words_of(text) == wide
        assert all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in whole), width
        # Only running text may be longer; the terminal wraps it.
        table = [line for line in text.splitlines() if line.startswith(" ")]
        assert table
        assert max(map(len, table)) <= width


def test_accuracies() -> None:
    results = [result_of(ROWS, defender=defender) for defender in DEFENDERS]
    whole = ("certified", "round trip", "mutants", "mrcert_cascade", "patchcure_paper")
    same_at_every_width(lambda console: show_results(results, console), *whole, "50.0 (500)")
    attacked = [replace(r, accuracy={**r.accuracy, "adversarial_certified": Accuracy(300, 600)}) for r in results]
    same_at_every_width(lambda console: show_results(attacked, console), *whole, "adv. certified", "(300/600)")
    published = [result_of(ROWS, {"certified": 0.61, "clean": 0.8}, defender=defender) for defender in DEFENDERS]
    same_at_every_width(lambda console: show_results(published, console), *whole, "[61.0]")


def test_accuracies_of_detectors() -> None:
    count = Accuracy(500, 1000)
    names = ("base", "clean", "certified_detection", "certified_ratio", "alerts")
    accuracy = {**dict.fromkeys(names, count), "harmful_alerts": Accuracy(300, 600)}
    results = [result_of(ROWS, defender=name, accuracy=accuracy) for name in ("patchcensor", "patchguardpp")]
    same_at_every_width(lambda console: show_results(results, console), "detection", "harmful alerts", "patchguardpp")


def test_a_plan() -> None:
    costs: dict[str, Any] = {"unions": (12, 78, 220, 1439), "visible": (0.86, 0.71, 0.57, 0.43)}
    rows = [
        PlanRow(
            {"model.window": [14, 1], "model.split": 6, "stride": stride},
            12,
            gflops=(1.2, 13.5, 1440.0),
            seconds=(0.15, 2.4, 123.0),
            **costs,
        )
        for stride in (1, 2)
    ]
    problem = "4 masks together can hide all 14 windows, and a model that sees nothing can't support a certificate"
    rows.append(PlanRow({"model.window": [2, 2], "model.split": 6, "stride": 3}, problem=problem))
    plan = Plan(rows, rows[0], rows[0])
    for patches in (1, 2):
        same_at_every_width(
            lambda console, patches=patches: show_plan(plan, "a title", patches, 30.0, None, console),
            *("window", "split", "masks", "unions", "visible, %", "GFLOPs", "seconds", "best", "[14,1]", "1,439"),
        )
    assert problem in " ".join(shown(lambda console: show_plan(plan, "t", 2, None, None, console), 80).split())


def test_a_comparison(tmp_path: Any) -> None:
    runs = [
        evaluation(tmp_path / name, [row(i, certified=i < n, round_trip=i < n) for i in range(1000)], defender=name)
        for name, n in (("mrcert_cascade", 700), ("patchcure_paper", 900))
    ]
    found = compare(*runs)
    same_at_every_width(
        lambda console: show_comparison(found, console), "A alone", "B alone", "round trip", "70.0 (700)"
    )


def test_audits() -> None:
    tallies = (AttackTally("adaptive, 20 steps", 123_456, 0, 0), AttackTally("images of the data set", 12, 1, 2))
    audit = CertificateAuditResult(
        **ABOUT, defender="mrcert", images=9, certified=8, round_trip=7, placements=25, attacks=tallies,
        labels_broken=1, certificates_broken=2,
    )  # fmt: skip
    same_at_every_width(lambda console: show_audit(audit, console), "labels broken", "certificates broken", "123,456")
    detector = replace(audit, attacks=(AttackTally("silent", 9, 1, 0, detected=7),))
    same_at_every_width(lambda console: show_audit(detector, console), "other label with an alert", "without one", "7")
    spreads = (LogitDifference("engine, in batches of 64 tokens", "32-true", 1e-6, 0, 32),)
    numerics = NumericsResult(**ABOUT, images=1, mutants=2, spreads=spreads, delta={}, margin={"32-true": 2e-6})
    same_at_every_width(lambda console: show_numerics(numerics, console), "largest difference", "other labels")


def test_names_from_files_do_not_control_the_terminal() -> None:
    result = result_of(ROWS, defender="\x1b[2J", dataset="\x1b]0;title\x07", round_trip_note="\x1b[8m")
    text = shown(lambda console: show_results([result], console), 200)
    assert not set(text) & {"\x1b", "\x07"}
    assert text.count(r"\x1b[") == 3


@pytest.mark.parametrize("width", [20, 40, 60])
def test_where_no_table_fits_rows_are_text(width: int) -> None:
    header, rows = ["defender", "patch", "clean", "certified"], [["mrcert", "16", "98.6 (355)", "73.6 (265)"]] * 2

    def show(console: Console) -> None:
        show_table(console, "a [b]title[/b]", header, rows, 2, ["bold", None])

    assert "a [b]title[/b]" in shown(show, width)
    if width == 20:
        assert shown(show, width).count("defender mrcert, \npatch 16\n") == 2
    same_at_every_width(lambda console: show_table(console, None, header, rows), widths=(60,))
