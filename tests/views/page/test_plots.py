"""What figures show is in their alternative texts; what there is nothing of isn't drawn."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest
from result_files import evaluation, priced_result, row

from mrcert_pl.results import Accuracy
from mrcert_pl.results.labels import labels
from mrcert_pl.views.drawing import BLUE, ORANGE
from mrcert_pl.views.page.accuracy import accuracy_sections, meaning_section
from mrcert_pl.views.page.plots import Labelled, against_patch_size, cases, side_by_side
from mrcert_pl.views.words import ALL_TITLES


def results(folder: Path, *patches: object, certified: int = 5, **facts: object) -> list:
    rows = [row(key, certified=key < certified) for key in range(10)]
    return [
        evaluation(folder / f"{place}_{facts.get('defender')}", rows, patch=patch, **facts).result
        for place, patch in enumerate(patches)
    ]


def label(results: list) -> list[Labelled]:
    return [Labelled(*pair) for pair in zip(labels(results), results, strict=True)]


def svg(source: str) -> str:
    return base64.b64decode(source.split(",")[1]).decode()


def test_defenders_side_by_side(tmp_path: Path) -> None:
    found = results(tmp_path, 16, round_trip_note="none") + results(tmp_path, 16, defender="other", certified=3)
    figure = side_by_side(label(found))
    assert "mrcert: base 100.0 %, clean 100.0 %, certified 50.0 %;" in figure.alt
    assert "other: base 100.0 %, clean 100.0 %, certified 30.0 %, round trip 0.0 %." in figure.alt
    assert ">other</text>" in svg(figure.source)
    assert "published" not in figure.caption


@pytest.mark.filterwarnings("error")
def test_long_names_are_broken_and_leave_room(tmp_path: Path) -> None:
    name = "a_very_long_name_of_a_defender " * 4
    found = [Labelled(f"{name}{place}", each) for place, each in enumerate(results(tmp_path, 16, 32, defender="long"))]
    for image in (side_by_side(found), cases({name: [row(0), row(1, case=2)]}), against_patch_size(found, "certified")):
        assert image is not None
        assert max(map(len, re.findall(r"<text[^>]*>([^<]*)</text>", svg(image.source)))) <= 36


@pytest.mark.filterwarnings("error")
def test_names_in_other_scripts_stay_text(tmp_path: Path) -> None:
    assert ">数字</text>" in svg(side_by_side(label(results(tmp_path, 16, defender="数字"))).source)


def test_every_accuracy_has_a_look_and_a_meaning(tmp_path: Path) -> None:
    result = replace(results(tmp_path, 16)[0], accuracy={name: Accuracy(1, 10) for name in ALL_TITLES})
    assert all(
        f"{title} 10.0 %" in side_by_side(label([result])).alt for title in ALL_TITLES.values() if title != "base"
    )
    assert set(meaning_section([result]).words) == {*ALL_TITLES.values()} - {"base"}


def test_the_same_results_give_the_same_picture(tmp_path: Path) -> None:
    found = label(results(tmp_path, 16))
    assert side_by_side(found) == side_by_side(found)


def test_patches_are_in_order_of_their_size(tmp_path: Path) -> None:
    figure = against_patch_size(label(results(tmp_path, "16x48", 32, 8)), "certified")
    assert figure is not None
    assert "mrcert: 50.0 % at 8 px, 50.0 % at 32 px, 50.0 % at 16x48" in figure.alt
    assert against_patch_size(label(results(tmp_path, ["16x48", 8], 8)), "certified") is not None


@pytest.mark.parametrize(("patches", "certified"), [((16,), 5), ((16, 32), 0)])
def test_nothing_to_compare(tmp_path: Path, patches: tuple, certified: int) -> None:
    assert against_patch_size(label(results(tmp_path, *patches, certified=certified)), "certified") is None


def test_detection_by_patch_size(tmp_path: Path) -> None:
    accuracy = {name: Accuracy(7, 10) for name in ("base", "clean", "certified_detection", "alerts")}
    found = label([replace(each, accuracy=accuracy) for each in results(tmp_path, 16, 32, defender="hicert")])
    figure = against_patch_size(found, "certified_detection")
    assert figure is not None
    assert figure.alt == "Detection accuracy by patch size. hicert: 70.0 % at 16 px, 70.0 % at 32 px."
    assert against_patch_size(found, "certified") is None
    images = [image.alt for section in accuracy_sections([each.result for each in found]) for image in section.images]
    assert figure.alt in images


def test_cases_are_counted() -> None:
    figure = cases({"a": [row(0, case=1), row(1, case=4), row(2, case=1)], "b": [row(0, case=2)]})
    assert "a: Case 1 2, Case 4 1; b: Case 2 1." in figure.alt


def test_a_label_has_one_colour_in_all_figures(tmp_path: Path) -> None:
    """The first defender certifies no round trip and has no line there; the second one keeps its colour."""
    found = results(tmp_path / "a", 16, 32, defender="first", round_trip_note="none")
    found += [priced_result(tmp_path / f"b{patch}", None, 8, defender="second", patch=patch) for patch in (16, 32)]
    colours = []
    for name in ("certified", "round_trip"):
        image = against_patch_size(label(found), name)
        assert image is not None
        colours.append(ORANGE.lower() in svg(image.source).lower())
    assert colours == [True, True]
    assert BLUE.lower() not in svg(image.source).lower()
