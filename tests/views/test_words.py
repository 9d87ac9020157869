"""Words and numbers of the views."""

from pathlib import Path

import pytest
from result_files import evaluation, result_of, row

from mrcert_pl.results import Accuracy, over_seeds
from mrcert_pl.results.schema import ADVERSARIAL, SeedAccuracy
from mrcert_pl.views.words import (
    accuracy_text,
    are_published,
    bar_words,
    cells,
    gflops_text,
    legend,
    notes,
    percent,
    printable,
    titles,
    whole_percent,
)

ROWS = [row(image_id, certified=image_id < 6) for image_id in range(10)]


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (None, "n/a"),
        (Accuracy(0, 0), "n/a"),
        (Accuracy(6, 10), "60.0 (6)"),
        (Accuracy(3, 4), "75.0 (3/4)"),
        (Accuracy(6, 10, 0.612), "60.0 (6) [61.2]"),
        (SeedAccuracy(0.6, 0.1414, (5, 7)), "60.0 ± 14.1"),
        (SeedAccuracy(0.6, None, (6,), 0.5), "60.0 [50.0]"),
        (SeedAccuracy(None, None, ()), "n/a"),
    ],
)
def test_an_accuracy(accuracy: Accuracy | SeedAccuracy | None, expected: str) -> None:
    assert accuracy_text(accuracy, 10) == expected


@pytest.mark.parametrize(
    ("gflops", "expected"),
    [(None, "n/a"), (0.0, "0"), (0.01234, "0.0123"), (12.345, "12.3"), (999.0, "999"), (1234.5, "1,234")],
)
def test_operations(gflops: float | None, expected: str) -> None:
    assert gflops_text(gflops) == expected


def test_a_percentage_has_one_digit() -> None:
    assert [percent(value) for value in (0, 0.0004, 0.125, 1)] == ["0.0", "0.0", "12.5", "100.0"]


def test_only_none_and_all_are_0_and_100_percent() -> None:
    values = [whole_percent(value) for value in (0.0, 0.0001, 0.125, 0.29, 0.9999, 1.0)]
    assert values == ["0%", "1%", "12%", "29%", "99%", "100%"]


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert printable("a\x1b[2J\n\udcff") == r"a\x1b[2J\n\udcff"
    assert printable("Größe ± 数字") == "Größe ± 数字"


def test_a_table_of_defenders() -> None:
    header, rows = cells([result_of(ROWS, mutants_per_image=12.4), result_of(ROWS, defender="[b]")])
    assert header == ["defender", "base", "clean", "certified", "round trip", "mutants"]
    assert rows[0] == ["mrcert", "100.0 (10)", "100.0 (10)", "60.0 (6)", "0.0 (0)", "12"]
    assert rows[1][0] == "[b]"


def test_attacked_images_have_one_more_accuracy() -> None:
    plain = result_of(ROWS)
    attacked = result_of(ROWS, accuracy={**plain.accuracy, ADVERSARIAL: Accuracy(1, 4)})
    assert list(titles([plain]).values()) == ["base", "clean", "certified", "round trip"]
    assert list(titles([plain, attacked]).values())[-1] == "adv. certified"
    _, rows = cells([plain, attacked])
    assert [line[-2] for line in rows] == ["n/a", "25.0 (1/4)"]
    assert not any("adv. certified" in line for line in legend([plain]))
    assert any(line.startswith("adv. certified: ") for line in legend([attacked]))


def test_the_legend_explains_what_stands_in_the_table() -> None:
    plain, published = result_of(ROWS), result_of(ROWS, {"certified": 0.5}, round_trip_note="its rule has none")
    assert legend([plain]) == ["accuracy in % (number of images); mutants: mean per image"]
    assert not are_published([plain])
    assert are_published([plain, published])
    assert legend([plain, published]) == [
        "accuracy in % (number of images), [published value]; mutants: mean per image",
        "mrcert, round trip: its rule has none",
    ]
    assert bar_words([plain]) == "Bars: 95 % intervals"


def test_the_legend_says_how_many_images_reached_the_limit() -> None:
    plain, none = (result_of(ROWS, limit_reached=count) for count in (None, 0))
    limited = result_of(ROWS, limit_reached=2, config={"defender": {"certificate": "paper"}, "refine_limit": 30})
    assert legend([plain, none]) == legend([plain])
    assert legend([plain, limited])[1:] == [
        f"mrcert: 2 of {len(ROWS)} images reached refine_limit=30; certificates that were open then count as none"
    ]


def test_seeds_of_the_same_weights_are_noted_once(tmp_path: Path) -> None:
    alike = [evaluation(tmp_path / str(seed), ROWS, seed=seed).result for seed in range(2)]
    combined = over_seeds(alike)
    header, rows = cells(combined)
    assert header[-1] == "seeds"
    assert rows[0][-1] == "0, 1"
    assert notes([*combined, *combined]) == ["mrcert: some seeds have the same weights, so the spread is too small"]
    assert bar_words(combined) == "Bars: one standard deviation over seeds"
    assert "mutants" not in legend(combined)[0]
