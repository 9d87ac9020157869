"""Sections of accuracies: one per set of images, one table per patch."""

from pathlib import Path

import pytest
from result_files import evaluation, result_of, row

from mrcert_pl.results import Accuracy, over_seeds
from mrcert_pl.results.schema import ADVERSARIAL, SeedAccuracy
from mrcert_pl.views.page.accuracy import accuracy_cell, accuracy_sections, meaning_section, result_cell
from mrcert_pl.views.page.parts import Number

ROWS = [row(image_id, certified=image_id < 7) for image_id in range(10)]


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (None, Number("n/a")),
        (Accuracy(0, 0), Number("n/a")),
        (Accuracy(7, 10), Number("70.0", ["7 of 10", "39.7 to 89.2"])),
        (Accuracy(7, 10, 0.61), Number("70.0", ["7 of 10", "39.7 to 89.2", "published: 61.0"])),
        (SeedAccuracy(0.6, 0.1414, (5, 7)), Number("60.0", ["± 14.1"])),
        (SeedAccuracy(0.6, None, (6,)), Number("60.0", ["one seed"])),
    ],
)
def test_a_number_has_its_interval(accuracy: Accuracy | SeedAccuracy | None, expected: Number) -> None:
    assert accuracy_cell(accuracy) == expected


def test_a_round_trip_that_a_rule_excludes_is_no_measured_zero() -> None:
    excluded, measured = result_of(ROWS, round_trip_note="its rule has none"), result_of(ROWS)
    assert result_cell(excluded, "round_trip") == Number("0.0", ["not possible"])
    assert result_cell(measured, "round_trip").details[0] == "0 of 10"
    assert result_cell(excluded, "certified") == result_cell(measured, "certified")


def test_accuracies_that_no_result_has_are_not_explained() -> None:
    plain = result_of(ROWS)
    attacked = result_of(ROWS, accuracy={**plain.accuracy, ADVERSARIAL: Accuracy(1, 4)})
    assert list(meaning_section([plain]).words) == ["base", "clean", "certified", "round trip"]
    assert list(meaning_section([plain, attacked]).words)[-1] == "adv. certified"


def test_results_on_other_images_have_a_section_of_their_own() -> None:
    results = [
        result_of(ROWS),
        result_of(ROWS, patch=32, defender="<b>"),
        result_of(ROWS[:5]),
        result_of(ROWS, dataset="cifar10"),
    ]
    first, fewer, other = accuracy_sections(results)
    assert [section.title for section in (first, fewer, other)] == [
        "digits, vit_srf, 10 images",
        "digits, vit_srf, 5 images",
        "cifar10, vit_srf, 10 images",
    ]
    assert [table.caption.split(":")[0] for table in first.tables] == [
        "Accuracy in %, patch 16 px, 10 images",
        "Accuracy in %, patch 32 px, 10 images",
    ]
    assert first.tables[0].header == ["defender", "base", "clean", "certified", "round trip", "mutants"]
    assert first.tables[1].rows[0][0] == "<b>"
    assert first.tables[0].rows[0][-1] == "891"


def test_seeds_stand_in_place_of_mutants(tmp_path: Path) -> None:
    runs = [evaluation(tmp_path / str(seed), ROWS, seed=seed, weights_sha256=f"{seed:064x}") for seed in range(2)]
    (section,) = accuracy_sections(over_seeds([run.result for run in runs]))
    (table,) = section.tables
    assert table.caption.endswith("mean and standard deviation over seeds")
    assert table.header[-1] == "seeds"
    assert table.rows[0][-1] == "0, 1"
