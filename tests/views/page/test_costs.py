"""Accuracy against cost: a figure and a table of its points."""

from pathlib import Path

from result_files import detection_result, priced_result

from mrcert_pl.views.page.costs import cost_sections
from mrcert_pl.views.page.parts import Number


def test_one_cost_is_no_comparison(tmp_path: Path) -> None:
    alike = [priced_result(tmp_path / name, 2.0, 6, defender=name) for name in "ab"]
    unknown = priced_result(tmp_path / "c", None, 6, defender="c")
    nothing = priced_result(tmp_path / "d", 9.0, 0, defender="d")
    assert cost_sections([*alike, unknown, nothing]) == []


def test_points_of_the_front_are_named(tmp_path: Path) -> None:
    results = [
        priced_result(tmp_path / "dear", 1234.5, 6, defender="dear"),
        priced_result(tmp_path / "cheap", 2.5, 6, defender="<cheap>"),
        priced_result(tmp_path / "best", 4000.0, 9, defender="best", round_trip_note="none"),
    ]
    figures, tables = cost_sections(results)
    assert (len(figures.images), figures.size) == (1, "wide")
    assert "Accuracy against GFLOPs per image, digits, patch 16 px, 10 images" in figures.images[0].alt
    (table,) = tables.tables
    assert table.header == ["configuration", "GFLOPs per image", "certified", "round trip", "on the front"]
    assert [(line[0], line[1], line[-1]) for line in table.rows] == [
        ("1: vit_srf, <cheap>", "2.5", "certified, round trip"),
        ("2: vit_srf, dear", "1,234", ""),
        ("3: vit_srf, best", "4,000", "certified"),
    ]
    assert table.rows[2][3] == Number("60.0", ["not possible"])


def test_other_images_have_another_figure(tmp_path: Path) -> None:
    results = [
        priced_result(tmp_path / f"{patch}_{gflops}", gflops, 6, patch=patch, defender=f"d{gflops}")
        for patch in (16, 32)
        for gflops in (1.0, 2.0)
    ]
    figures, tables = cost_sections(results)
    assert len(figures.images) == len(tables.tables) == 2


def test_detectors_have_a_column_of_their_own(tmp_path: Path) -> None:
    results = [priced_result(tmp_path / "a", 9.0, 6), detection_result(tmp_path / "b", 1.0, 8, 2)]
    _, tables = cost_sections(results)
    (table,) = tables.tables
    assert table.header[2:] == ["certified", "round trip", "detection", "on the front"]
    detector, recovery = (line[2:] for line in table.rows)
    assert detector == [Number("n/a"), Number("n/a"), Number("80.0", ["8 of 10", "49.0 to 94.3"]), "detection"]
    assert recovery[2:] == [Number("n/a"), "certified, round trip"]
