"""What nothing cheaper beats, against its definition; what there is no cost of is left out."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_files import CONFIG, detection_result, priced_result, result_of, row

from mrcert_pl.results import Accuracy, EvaluationResult
from mrcert_pl.results.pareto import Point, compared, frontier, priced


def point(result: EvaluationResult) -> Point:
    assert result.gflops_per_image is not None
    return Point(result, result.model, result.defender, result.gflops_per_image)


def test_the_front_is_what_its_definition_says() -> None:
    draw = random.Random(0)
    empty = result_of([row(i) for i in range(4)])
    for _ in range(200):
        points = []
        for _ in range(draw.randint(1, 9)):
            accuracy = {"certified": Accuracy(draw.randint(0, 4), 4)}
            points.append(point(replace(empty, accuracy=accuracy, gflops_per_image=float(draw.randint(1, 5)))))
        found = frontier(points, "certified")
        for one in points:
            value = one.value("certified")
            others = [(other.gflops, other.value("certified")) for other in points]
            as_good_for_less = any(c < one.gflops and a >= value for c, a in others)
            better_for_as_much = any(c <= one.gflops and a > value for c, a in others)
            expected = value > 0 and not as_good_for_less and not better_for_as_much
            assert any(one is other for other in found) == expected
        assert [one.gflops for one in found] == sorted(one.gflops for one in found)


def test_what_a_rule_excludes_is_on_no_frontier(tmp_path: Path) -> None:
    results = [
        priced_result(tmp_path / "a", 1.0, 9, defender="patchcure", round_trip_note="none can be"),
        priced_result(tmp_path / "b", 2.0, 8),
    ]
    points = [point(result) for result in results]
    assert [one.value("round_trip") for one in points] == [0, 0.5]
    assert [one.result.defender for one in frontier(points, "round_trip")] == ["mrcert"]
    assert [one.result.defender for one in frontier(points, "certified")] == ["patchcure"]


def test_detection_is_compared_with_detection_alone(tmp_path: Path) -> None:
    facts = {"cheap": (1.0, 6, 2), "as dear, fewer alerts": (1.0, 5, 1), "worse": (1.0, 5, 2), "dear": (3.0, 6, 1)}
    detectors = [detection_result(tmp_path / name, *of, defender=name) for name, of in facts.items()]
    (group,) = priced([*detectors, priced_result(tmp_path / "recovery", 2.0, 9)])
    found = {name: {one.result.defender for one in frontier(group, name)} for name in compared(group)}
    assert found == {
        "certified": {"mrcert"},
        "round_trip": {"mrcert"},
        "certified_detection": {"cheap", "as dear, fewer alerts", "dear"},
    }


def test_alerts_on_attacked_images_are_no_cost(tmp_path: Path) -> None:
    clean = point(detection_result(tmp_path / "clean", 1.0, 6, 2))
    accuracy = {**clean.result.accuracy, "harmful_alerts": Accuracy(3, 4)}
    attacked = point(replace(clean.result, accuracy=accuracy))
    assert (clean.alerts, attacked.alerts) == (0.2, None)
    assert point(priced_result(tmp_path / "recovery", 2.0, 9)).alerts is None


def test_results_are_numbered_by_base_the_cheapest_first(tmp_path: Path) -> None:
    windows = {"columns": [14, 1], "squares": [2, 2]}
    facts = [
        ("columns", 8.0, "mrcert"),
        ("squares", 3.0, "mrcert"),
        ("columns", 1.0, "patchcure"),
        ("squares", 2.0, "b"),
    ]
    results = [
        priced_result(
            tmp_path / str(place),
            gflops,
            5,
            defender=defender,
            config={**CONFIG, "model": {"name": "vit_srf", "window": windows[base]}},
        )
        for place, (base, gflops, defender) in enumerate(facts)
    ]
    (group,) = priced(results)
    assert [(one.number, one.gflops) for one in group] == [(1, 1.0), (2, 8.0), (3, 2.0), (4, 3.0)]
    assert [one.base for one in group] == 2 * ["vit_srf, window 14x1"] + 2 * ["vit_srf, window 2x2"]


@pytest.mark.parametrize(
    "second",
    [
        {"gflops": 1.0},
        {"gflops": None},
        {"gflops": 0.0},
        {"gflops": 2.0, "patch": 32},
        {"gflops": 2.0, "dataset": "other"},
        {"gflops": 2.0, "certified": 0},
    ],
)
def test_nothing_to_compare(tmp_path: Path, second: dict[str, Any]) -> None:
    facts = {"certified": 5, **second}
    results = [priced_result(tmp_path / "a", 1.0, 5), priced_result(tmp_path / "b", **facts)]
    older = replace(results[0], gflops_per_image=None)
    assert priced([*results, older]) == []
