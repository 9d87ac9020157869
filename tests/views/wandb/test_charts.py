"""Rows of charts, by hand."""

import numpy as np
import pytest
from result_files import FACTS, row

from mrcert_pl.results import Accuracy, EvaluationResult, VerdictRow
from mrcert_pl.views.wandb.charts import (
    RESULT_COLUMNS,
    accuracies,
    by_case,
    by_defender,
    by_location,
    by_patch,
    centred,
    result_row,
)


def verdict(case: int, correct: bool, certified: bool, round_trip: bool = False) -> VerdictRow:
    return row(0, prediction=int(correct), case=case, certified=certified, round_trip=round_trip)


def result(defender: str, patch: int | str, certified: int | None, **facts: object) -> EvaluationResult:
    accuracy = {"clean": Accuracy(9, 10)} | ({} if certified is None else {"certified": Accuracy(certified, 10)})
    return EvaluationResult(**{**FACTS, "defender": defender, "patch": patch, "n": 10, "accuracy": accuracy, **facts})


def test_cases_count_correct_images() -> None:
    rows = [verdict(3, True, False), verdict(1, True, True, True), verdict(1, False, True), verdict(1, True, True)]
    assert by_case(rows) == [["Case 1", 2 / 3, 3, 2, 2, 1], ["Case 3", 0.0, 1, 1, 0, 0]]
    assert by_case([]) == []


def test_locations_are_averaged_along_the_other_axis() -> None:
    safe = np.zeros((3, 200))
    safe[:, :100] = 1
    safe[0] = 0
    lines = by_location(safe)
    places, across = lines["from left to right"]
    assert (places[0], places[-1], len(places)) == (0, 199, 57)
    assert across == pytest.approx([2 / 3 if place < 100 else 0 for place in places])
    assert lines["from top to bottom"] == ([0, 1, 2], [0, 0.5, 0.5])


def test_sizes_of_patches_make_lines_and_evaluations_bars() -> None:
    results = [
        result("mrcert", 32, 5),
        result("mrcert", 16, 7),
        result("patchcure", 16, 1),
        result("patchcure", 16, 8),
        result("mrcert", "16x48", 6),
        result("mrcert", 8, None),
    ]
    assert by_patch(results, "certified") == {
        "digits vit_srf mrcert": ([16, 32], [0.7, 0.5]),
        "digits vit_srf patchcure, run 1": ([16], [0.1]),
        "digits vit_srf patchcure, run 2": ([16], [0.8]),
    }
    assert by_defender(results, "certified")[4] == ["mrcert, digits vit_srf p16x48", 0.6]
    assert len(by_defender(results, "certified")) == 5
    assert (by_patch(results, "certified_detection"), by_defender(results, "certified_detection")) == ({}, [])


def test_evaluations_of_one_defender_are_named_by_what_tells_them_apart() -> None:
    results = [result("mrcert", 32, certified, config={"stride": stride}) for stride, certified in ((4, 5), (3, 6))]
    assert by_defender(results, "certified") == [
        ["mrcert, stride 4, digits vit_srf p32", 0.5],
        ["mrcert, stride 3, digits vit_srf p32", 0.6],
    ]
    assert by_patch(results, "certified") == {
        "digits vit_srf mrcert, stride 4": ([32], [0.5]),
        "digits vit_srf mrcert, stride 3": ([32], [0.6]),
    }


def test_a_result_is_a_row() -> None:
    found = result("mrcert", 32, None, mutants_per_image=439.0, gflops_per_image=300.5)
    cells = dict(zip(RESULT_COLUMNS, result_row(found), strict=True))
    assert cells["patch"] == "32"
    assert (cells["clean"], cells["certified"], cells["adversarial_certified"]) == (0.9, None, None)
    assert (cells["mutants_per_image"], cells["gflops_per_image"]) == (439.0, 300.5)
    assert accuracies(result("mrcert", 32, None)) == {"clean": 0.9}
    counts = {"clean": Accuracy(9, 10), "certified_detection": Accuracy(7, 10), "alerts": Accuracy(2, 10)}
    cells = dict(zip(RESULT_COLUMNS, result_row(result("hicert", 32, None, accuracy=counts)), strict=True))
    assert (cells["certified_detection"], cells["alerts"], cells["harmful_alerts"]) == (0.7, 0.2, None)


def test_a_map_lies_where_the_centres_are() -> None:
    safe = np.ones((3, 4), dtype=bool)
    safe[0] = False
    expected = [[0, 0, 0, 0, 0], [0, 3, 3, 3, 3], [0, 2, 2, 2, 2], [0, 2, 2, 2, 2], [0, 0, 0, 0, 0]]
    assert centred(safe, (5, 5))[:, [4, 0, 1, 2, 3]].tolist() == expected
