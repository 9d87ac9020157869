"""Tables on the terminal show the results that they are given."""

import io
from dataclasses import replace

import pytest
from result_files import result_of, row
from rich.console import Console

from mrcert_pl.results import Accuracy, BenchmarkRow, VerificationReport
from mrcert_pl.results.schema import Difference
from mrcert_pl.views.terminal import benchmark_table, show_results, show_verification

ROWS = [row(i, base_prediction=int(i < 9), prediction=int(i < 8), certified=i < 5, round_trip=i < 1) for i in range(10)]


@pytest.fixture
def console() -> Console:
    return Console(width=100, file=io.StringIO())


def text(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_the_table_groups_by_images_and_shows_counts_notes_and_published_values(console: Console) -> None:
    results = [
        result_of(ROWS, defender="patchcure", round_trip_note="none can be promised", mutants_per_image=12.0),
        result_of(ROWS, {"certified": 0.6}, mutants_per_image=312.4),
        result_of(ROWS, patch="16x48"),
    ]
    show_results(results, console)
    shown = text(console)
    assert shown.count("digits, vit_srf, patch 16 px, 10 images") == 1
    assert "digits, vit_srf, patch 16x48, 10 images" in shown
    assert "50.0 (5) [60.0]" in shown
    assert "patchcure, round trip: none can be promised" in shown
    assert "published value" in shown
    mrcert, patchcure = (
        next(line for line in shown.split("\n") if f"  {name} " in line) for name in ("mrcert", "patchcure")
    )
    assert (mrcert.split()[-1], patchcure.split()[-1]) == ("312", "12")


def test_attacked_images_have_one_more_column_with_its_own_denominator(console: Console) -> None:
    result = result_of(ROWS)
    for name, adversarial in (("hit", Accuracy(3, 6)), ("missed", Accuracy(0, 0))):
        accuracy = {**result.accuracy, "adversarial_certified": adversarial}
        show_results([replace(result, defender=name, accuracy=accuracy)], console)
    assert "50.0 (3/6)" in text(console)
    assert next(line for line in text(console).splitlines() if "missed" in line).split()[-2] == "n/a"
    assert "adv. certified" in text(console)
    plain = Console(width=100, file=io.StringIO())
    show_results([result], plain)
    assert "adv." not in text(plain)


def test_a_benchmark_has_a_table_for_each_part(console: Console) -> None:
    rows = [
        BenchmarkRow(part, method, 439.0, 1234.5, 0.5, 8.7, 0.25, sample=sample)
        for part, method, sample in (("labels", "direct", 64), ("labels", "engine", None), ("gradients", "one", None))
    ]
    for part in ("labels", "gradients"):
        console.print(benchmark_table(f"{part}: vit_srf, cpu", [each for each in rows if each.part == part]))
    assert "labels: vit_srf, cpu" in text(console)
    assert "gradients: vit_srf, cpu" in text(console)
    assert "scaled from a sample of forward passes: direct: 64" in text(console)
    engine = next(line for line in text(console).splitlines() if "engine" in line)
    assert engine.split() == ["engine", "439", "1,234", "0.5", "8.7", "25", "n/a"]


def test_a_verification_lists_what_differs(console: Console) -> None:
    differences = (Difference(None, "certified", 5, 4), *(Difference(i, "case", 1, 2) for i in range(30)))
    show_verification(VerificationReport("outputs/a", "mrcert", 40, 3, differences), console)
    shown = text(console)
    assert "results.json: certified is 5, the tables give 4" in shown
    assert "image 18: case is 1, the tables give 2" in shown
    assert "and 11 more" in shown
    assert "outputs/a: mrcert, 40 images (3 of them from partial tables): 31 values DIFFER from the tables" in shown
    show_verification(VerificationReport("outputs/b", "mine", 0, skipped="it has no second implementation"), console)
    assert "outputs/b: mine, 0 images: skipped, it has no second implementation" in text(console)


def test_names_of_files_are_no_markup(console: Console) -> None:
    hostile = result_of(ROWS, dataset="a[/red]b", model="[red]x", defender="[bold]y", round_trip_note="[/z]")
    show_results([hostile], console)
    assert "a[/red]b, [red]x, patch 16 px" in text(console)
    assert "  [bold]y " in text(console)
    assert "[bold]y, round trip: [/z]" in text(console)
