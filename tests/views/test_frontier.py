"""Figures of accuracy against cost: whole, the same each time, and readable where points are close."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from result_files import detection_result, priced_result

from mrcert_pl.errors import ResultsError
from mrcert_pl.results.pareto import priced
from mrcert_pl.views import frontier
from mrcert_pl.views.frontier import _place, _side_by_side, against_cost, write_frontier


@pytest.fixture
def results(tmp_path: Path) -> list[Any]:
    """Two defenders at two patches; the dearer one has a round trip, and at 32 px less is certified."""
    return [
        priced_result(tmp_path / f"{patch}{defender}", gflops, certified - patch // 16, defender=defender, patch=patch)
        for patch in (16, 32)
        for defender, gflops, certified in (("patchcure", 0.2, 4), ("mrcert", 40.0, 9))
    ]


def test_what_it_shows_is_in_its_alternative_text(results: list[Any]) -> None:
    first, _ = priced(results)
    figure = against_cost(first)
    assert figure == against_cost(first)
    assert "digits, patch 16 px, 10 images" in figure.alt
    assert "certified: vit_srf, patchcure (30.0 % for 0.2 GFLOPs), vit_srf, mrcert (80.0 % for 40 GFLOPs)" in figure.alt
    assert "round trip: vit_srf, mrcert (50.0 % for 40 GFLOPs)." in figure.alt
    svg = base64.b64decode(figure.source.split(",")[1]).decode()
    assert ">certified accuracy</text>" in svg
    assert ">round trip accuracy</text>" in svg
    assert "currentColor" in svg
    key = svg.replace("\N{NO-BREAK SPACE}", " ")
    assert "1 patchcure," in key
    assert "2 mrcert<" in key


def test_all_numbers_have_the_colour_of_the_page_s_text(tmp_path: Path, results: list[Any]) -> None:
    dominated = priced_result(tmp_path / "dominated", 20.0, 1, defender="mrcert_sharp", patch=16)
    first, _ = priced([*results, dominated])
    svg = base64.b64decode(against_cost(first).source.split(",")[1]).decode()
    texts = re.findall(r"<text ([^>]*)>([^<]*)</text>", svg)
    assert [text for style, text in texts if "currentColor" not in style] == []
    numbers = {text for _, text in texts if text in ("1", "2", "3")}
    assert numbers == {"1", "2", "3"}


def test_detection_has_a_panel_of_its_own(tmp_path: Path, results: list[Any]) -> None:
    detectors = [
        detection_result(tmp_path / f"{detected}", 0.1, detected, alerts, defender=f"detector {detected}")
        for detected, alerts in ((7, 1), (9, 3), (6, 2))
    ]
    first, _ = priced([*results, *detectors])
    figure = against_cost(first)
    detection = figure.alt.split("detection: ")[1]
    assert "detector 7 (10.0 % alerts) (70.0 % for 0.1 GFLOPs)" in detection
    assert "detector 9 (30.0 % alerts) (90.0 % for 0.1 GFLOPs)" in detection
    assert "detector 6" not in figure.alt
    assert "mrcert" not in detection
    assert "detector" not in figure.alt.split("detection: ")[0]
    svg, without = (
        base64.b64decode(each.source.split(",")[1]).decode() for each in (figure, against_cost(priced(results)[0]))
    )
    assert svg.count(" accuracy</text>") == 3
    assert ">detection accuracy</text>" in svg
    assert "alerts on clean images (in brackets)" in svg
    assert "alerts on clean images" not in without


def test_points_of_equal_cost_are_beside_each_other_where_they_would_touch(tmp_path: Path) -> None:
    values = {"a": 9, "b": 8, "c": 8, "d": 2, "e": 1}
    results = [priced_result(tmp_path / name, 2.0, count, defender=name) for name, count in values.items()]
    dearer = priced_result(tmp_path / "f", 20.0, 5, defender="f")
    (group,) = priced([*results, dearer])
    places = {point.label: x for point, x in _side_by_side(group, "certified", 10.0)}
    assert {places[name] for name in "abde"} == {2.0}
    assert places["c"] == pytest.approx(2.0 * 10.0**0.035)
    assert places["f"] == 20.0


def test_an_accuracy_that_nothing_has_gets_no_panel(tmp_path: Path) -> None:
    results = [priced_result(tmp_path / str(gflops), gflops, 2, defender=str(gflops)) for gflops in (1.0, 2.0)]
    figure = against_cost(priced(results)[0])
    assert "round trip" not in figure.alt
    assert "round trip" not in base64.b64decode(figure.source.split(",")[1]).decode()


@pytest.mark.parametrize("name", ["frontier.svg", "a/frontier.PNG", "frontier.pdf"])
def test_files_by_suffix(tmp_path: Path, results: list[Any], name: str) -> None:
    path = write_frontier(tmp_path / "figures" / name, results)
    content = path.read_bytes()
    assert content.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[path.suffix[1:].lower()])
    assert write_frontier(path, results).read_bytes() == content
    if path.suffix == ".svg":
        assert content.decode().count(">certified accuracy</text>") == 2
    if path.suffix == ".PNG":
        with Image.open(path) as image:
            assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_files_that_cannot_be_written(tmp_path: Path, results: list[Any]) -> None:
    with pytest.raises(
        ResultsError, match=r"frontier\.jpg is no name of a figure; choose one that ends in \.svg, \.png"
    ):
        write_frontier(tmp_path / "frontier.jpg", results)
    with pytest.raises(ResultsError, match=r"on the same images at different costs; .*evaluate again"):
        write_frontier(tmp_path / "frontier.svg", results[:1])
    with pytest.raises(ResultsError, match="choose another --frontier"):
        write_frontier(tmp_path / "16mrcert" / "results.json" / "frontier.svg", results)


def test_numbers_of_close_points_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six points in a row, each a little dearer and better than the one before: numbers stay off each other."""
    boxes: list[Any] = []

    def placed(axis: Any, numbers: Any) -> None:
        _place(axis, numbers)
        boxes.append([number.get_window_extent() for number in numbers])

    monkeypatch.setattr(frontier, "_place", placed)
    results = [priced_result(tmp_path / str(i), 10.0 * 1.02**i, 4 + i // 2, defender=f"defender {i}") for i in range(6)]
    frontier.write_frontier(tmp_path / "frontier.png", [*results, priced_result(tmp_path / "far", 40.0, 9)])
    assert [len(panel) for panel in boxes] == [7, 7]
    for panel in boxes:
        assert not any(one.overlaps(other) for place, one in enumerate(panel) for other in panel[:place])
