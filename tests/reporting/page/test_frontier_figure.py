"""Figures of accuracy against cost: whole, the same each time, and readable where points are close."""

import base64
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image
from result_files import priced_result

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting.page.frontier import priced
from mrcert_pl.reporting.page.frontier_figure import against_cost, write_frontier
from mrcert_pl.reporting.page.number_places import Numbered, place_numbers


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
    picture = against_cost(first)
    assert picture == against_cost(first)
    assert "digits, patch 16 px, 10 images" in picture.alt
    assert (
        "certified: vit_srf, patchcure (30.0 % for 0.2 GFLOPs), vit_srf, mrcert (80.0 % for 40 GFLOPs)" in picture.alt
    )
    assert "round trip: vit_srf, mrcert (50.0 % for 40 GFLOPs)." in picture.alt
    svg = base64.b64decode(picture.source.split(",")[1]).decode()
    assert ">certified accuracy</text>" in svg
    assert ">round trip accuracy</text>" in svg
    assert "currentColor" in svg
    key = svg.replace("\N{NO-BREAK SPACE}", " ")
    assert "1 patchcure," in key
    assert "2 mrcert<" in key


def test_an_accuracy_that_nothing_has_gets_no_panel(tmp_path: Path) -> None:
    results = [priced_result(tmp_path / str(gflops), gflops, 2, defender=str(gflops)) for gflops in (1.0, 2.0)]
    picture = against_cost(priced(results)[0])
    assert "round trip" not in picture.alt
    assert "round trip" not in base64.b64decode(picture.source.split(",")[1]).decode()


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


def test_numbers_of_close_points_do_not_overlap() -> None:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(0, 1), ylim=(0, 1))
    # As close as markers that touch, in both directions.
    points = [Numbered(0.5 + 0.03 * i, 0.5 + 0.01 * i, str(10 + i), {"color": "k"}) for i in range(5)]
    points.append(Numbered(0.5, 0.53, "7", {"color": "k"}))
    figure.draw_without_rendering()
    place_numbers(axis, points)
    boxes = [text.get_window_extent() for text in axis.texts]
    assert [text.get_text() for text in axis.texts] == [point.number for point in points]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
