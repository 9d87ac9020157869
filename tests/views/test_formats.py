"""Tables for other programs can be read back."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from result_files import CONFIG, evaluation, row

from mrcert_pl.results import Accuracy, over_seeds
from mrcert_pl.results.statistics import wilson
from mrcert_pl.views.formats import FORMATS, comma_separated, latex, markdown

ROWS = [row(key, certified=key < 5, round_trip=key < 1) for key in range(10)]


@pytest.fixture
def results(tmp_path: Path) -> list:
    """Two defenders on 16 px, with another patch between them."""
    facts = [("mrcert_sharp", 16, {"certified": 0.6}), ("mrcert_sharp", 32, {}), ("patch&cure|", 16, {})]
    runs = [
        evaluation(tmp_path / str(place), ROWS, reported, defender=defender, patch=patch)
        for place, (defender, patch, reported) in enumerate(facts)
    ]
    return [run.result for run in runs]


def test_csv_holds_every_number(results: list) -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(results))))
    assert [(line["defender"], line["patch"]) for line in rows] == [
        ("mrcert_sharp", "16"),
        ("patch&cure|", "16"),
        ("mrcert_sharp", "32"),
    ]
    first = rows[0]
    assert (first["n"], first["certified_count"], first["certified_n"], first["seeds"]) == ("10", "5", "10", "0")
    assert float(first["certified_measured"]) == 0.5
    assert (float(first["certified_low"]), float(first["certified_high"])) == wilson(5, 10)
    assert first["certified_reported"] == "0.6"
    assert first["base_reported"] == ""
    assert first["weights_sha256"] == "ab" * 32


def test_rows_of_one_defender_are_told_apart(tmp_path: Path) -> None:
    configs = [{**CONFIG, "stride": stride} for stride in (2, 4)]
    two = [evaluation(tmp_path / str(i), ROWS, config=config).result for i, config in enumerate(configs)]
    rows = list(csv.DictReader(io.StringIO(comma_separated(two))))
    assert [(line["defender"], line["label"]) for line in rows] == [
        ("mrcert", "mrcert, stride 2"),
        ("mrcert", "mrcert, stride 4"),
    ]
    assert all(name in markdown(two) for name in ("| mrcert, stride 2 ", "| mrcert, stride 4 "))


def test_markdown_is_a_table(results: list) -> None:
    table, below = markdown(results).split("\n\n")
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
    assert len({len(line) for line in lines}) == 1
    header, _, *body = [[cell.strip() for cell in line] for line in lines]
    cells = [dict(zip(header, line, strict=True)) for line in body]
    assert cells[0]["certified"] == "50.0 (5) [60.0]"
    assert cells[0]["patch"] == "16 px"
    assert cells[1]["defender"] == r"patch&cure\|"
    assert "accuracy in % (number of images), [published value]" in below


@pytest.mark.parametrize("render", [markdown, latex])
def test_costs_have_a_column_where_they_are_known(results: list, render: Callable[[list], str]) -> None:
    assert "GFLOPs" not in render(results)
    priced = [replace(results[0], gflops_per_image=1561.4), *results[1:]]
    first, second = (next(line for line in render(priced).splitlines() if name in line) for name in ("sharp", "cure"))
    assert "GFLOPs per image" in render(priced)
    assert first.rstrip("|\\ ").endswith(" 1,561")
    assert second.rstrip("|\\ ").endswith(" n/a")
    rows = list(csv.DictReader(io.StringIO(comma_separated(priced))))
    assert [line["gflops_per_image"] for line in rows] == ["1561.4", "", ""]


def test_latex_has_a_cell_for_every_column_and_escapes(results: list) -> None:
    text = latex(results)
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns
    lines = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r" \\")]
    assert {len(re.split(r"(?<!\\)&", line)) for line in lines} == {len(columns[1])}
    assert len(lines) == 4
    assert r"mrcert\_sharp" in text
    assert r"patch\&cure" in text
    assert r"\%" not in text.split(r"\begin")[0]


def test_seeds_have_mean_and_spread_in_every_format(tmp_path: Path) -> None:
    runs = [
        evaluation(
            tmp_path / str(seed),
            [row(key, certified=key < 5 + 2 * seed) for key in range(10)],
            seed=seed,
            weights_sha256=f"{seed:064x}",
        )
        for seed in range(2)
    ]
    results = over_seeds([run.result for run in runs])
    (line,) = csv.DictReader(io.StringIO(comma_separated(results)))
    assert line["seeds"] == "0, 1"
    assert line["certified_counts"] == "5 7"
    assert float(line["certified_measured"]) == pytest.approx(0.6)
    assert float(line["certified_spread"]) == pytest.approx(0.02**0.5)
    assert "60.0 ± 14.1" in markdown(results)
    assert r"60.0 $\pm$ 14.1" in latex(results)


def test_attacked_images_have_a_column_and_others_a_gap(results: list) -> None:
    accuracy = {**results[0].accuracy, "adversarial_certified": Accuracy(0, 0)}
    results[0] = replace(results[0], accuracy=accuracy)
    first, *others = csv.DictReader(io.StringIO(comma_separated(results)))
    assert (first["adversarial_certified_n"], first["adversarial_certified_low"]) == ("0", "")
    assert {line["adversarial_certified_n"] for line in others} == {""}
    for render in (FORMATS["markdown"], FORMATS["latex"]):
        assert "adv. certified" in render(results)
