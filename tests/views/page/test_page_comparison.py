"""The section of two evaluations."""

from dataclasses import replace
from pathlib import Path

from result_files import evaluation, row

from mrcert_pl.results import compare
from mrcert_pl.views.page import write_page
from mrcert_pl.views.page.comparison import comparison_section

HOSTILE = "digits/<script>alert(1)</script>.png"


def test_images_that_differ_have_a_table(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", [row(0, certified=True), row(1)])
    b = evaluation(tmp_path / "b", [row(0, prediction=2), row(1)])
    section = comparison_section(compare(a, b))
    assert section.title == "A and B on the same 2 images"
    assert section.text[0].startswith("A: mrcert, vit_srf, patch 16 px, seed 0: ")
    accuracies, images = section.tables
    assert accuracies.header == ["", "A", "B", "B - A", "A alone", "B alone", "p"]
    assert [line[0] for line in accuracies.rows] == ["clean", "certified", "round trip"]
    assert images.rows == [
        ["0", "clean", "A", "digits/0", "1", "1", "2"],
        ["0", "certified", "A", "digits/0", "1", "1", "2"],
    ]


def test_runs_that_agree_have_one_table(tmp_path: Path) -> None:
    a, b = (evaluation(tmp_path / name, [row(0), row(1)]) for name in "ab")
    assert len(comparison_section(compare(a, b)).tables) == 1


def test_paths_and_folders_are_escaped(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "<i>a", [replace(row(0), path=HOSTILE)])
    b = evaluation(tmp_path / "b", [replace(row(0, prediction=2), path=HOSTILE)])
    html = write_page(tmp_path / "page.html", [a, b], [a.result, b.result], comparison=compare(a, b)).read_text()
    assert "<script" not in html
    assert "<i>" not in html
    assert "digits/&lt;script&gt;alert(1)&lt;/script&gt;.png" in html
