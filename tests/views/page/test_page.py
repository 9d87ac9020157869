"""The page is whole by itself, can be read by everybody, and says what the files say."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from result_files import ENVIRONMENT, evaluation, row

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import (
    Accuracy,
    AttackResult,
    AttackTally,
    BenchmarkResult,
    BenchmarkRow,
    CertificateAuditResult,
    EvaluationRun,
    Locations,
    LogitDifference,
    NumericsResult,
    compare,
    find_leftovers,
    over_seeds,
    write_locations,
)
from mrcert_pl.views.page import write_page

HOSTILE = '<script>alert("1")</script>'


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += f"{data.strip()} "

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def runs(tmp_path: Path) -> list[EvaluationRun]:
    """Two defenders, two patches, a published figure; one run has a map and an image."""
    rows = [row(key, certified=key < 7, round_trip=key < 2, case=1 + (key > 7)) for key in range(10)]
    drawn = [replace(of, certified_fraction=0.75) for of in rows]
    found = [
        evaluation(tmp_path / "eval" / "a", rows, {"certified": 0.61}),
        evaluation(tmp_path / "eval" / "b", rows, patch=32, defender=HOSTILE, round_trip_note="none can be"),
        evaluation(tmp_path / "eval" / "c", drawn, patch=32, defender="mrcert_cascade"),
        evaluation(tmp_path / "eval" / "d", rows, patch=32),
    ]
    locations = Locations((np.full((193, 193), 8),), 10, (224, 224))
    write_locations(found[2].folder / "locations.npz", locations)
    (found[2].folder / "examples").mkdir()
    Image.new("RGB", (8, 8)).save(found[2].folder / "examples" / "3.png")
    return found


@pytest.fixture
def others(tmp_path: Path) -> None:
    """What an attack, both audits and a benchmark leave."""
    subject: Any = {"dataset": "digits", "model": "vit_srf", "patch": 32}
    origin: Any = {"weights_sha256": "ef" * 32, "seed": 0, "environment": ENVIRONMENT}
    both = {"before": Accuracy(19, 20), "after": Accuracy(11, 20)}
    folder = tmp_path / "attack"
    attack = AttackResult(**subject, **origin, **both, attack="ifgsm", n=20, successes=9, attacked="attacked")
    attack.write(folder / "results.json")
    Image.new("RGB", (8, 8)).save(folder / "contact_sheet.png")
    tallies = AttackTally("adaptive", 1200, 0, 0), AttackTally("random", 34, 0, 0)
    counts = {"images": 8, "certified": 5, "round_trip": 0, "labels_broken": 0, "certificates_broken": 0}
    audit = CertificateAuditResult(**subject, **origin, **counts, defender="mrcert", placements=16, attacks=tallies)
    audit.write(tmp_path / "certificates.json")
    spread = LogitDifference("one thread", "float32", 2e-6, 0, 80)
    margins = {"delta": {"float32": 2.1e-6}, "margin": {"float32": 4.2e-6}}
    numerics = NumericsResult(**subject, **origin, **margins, images=2, mutants=80, spreads=(spread,))
    numerics.write(tmp_path / "numerics.json")
    timed = BenchmarkRow("labels", "engine", 439.0, 3.14159, 0.5, 1.0, 0.5)
    benchmark = BenchmarkResult("vit_srf", 32, 2, (timed,), 100.0, 1, ENVIRONMENT)
    benchmark.write(tmp_path / "bench.json")


def written(tmp_path: Path, runs: list[EvaluationRun], results: list | None = None) -> tuple[Page, str]:
    file = write_page(
        tmp_path / "out" / "report.html", runs, results or [run.result for run in runs], find_leftovers([tmp_path])
    )
    html = file.read_text()
    return Page(html), html


def test_it_needs_nothing_from_elsewhere(tmp_path: Path, runs: list[EvaluationRun], others: None) -> None:
    page, html = written(tmp_path, runs)
    assert not page.open
    assert not page.all("script")
    addresses = [a for _, attributes in page.tags for name, a in attributes.items() if name in ("src", "href")]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\(|http:|https:", html)
    sources = [image["src"].split(",", 1) for image in page.all("img")]
    svgs = [base64.b64decode(content).decode() for kind, content in sources if "svg" in kind]
    assert len(svgs) >= 5
    for svg in svgs:
        ElementTree.fromstring(svg)
        assert "prefers-color-scheme" in svg
        assert "currentColor" in svg
        assert all(link.startswith(("#", "data:")) for link in re.findall(r'href="([^"]*)"', svg))


def test_it_can_be_read_by_everybody(tmp_path: Path, runs: list[EvaluationRun], others: None) -> None:
    page, _ = written(tmp_path, runs)
    assert page.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table")) >= 7
    assert {heading["scope"] for heading in page.all("th")} == {"row", "col"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [link["href"] for link in page.all("a")] == [f"#{anchor}" for anchor in ids]


def test_it_says_what_the_files_say(tmp_path: Path, runs: list[EvaluationRun], others: None) -> None:
    page, _ = written(tmp_path, runs)
    text = re.sub(r"\s+", " ", page.text)
    assert "70.0 7 of 10 39.7 to 89.2 published: 61.0" in text
    assert "0.0 not possible" in text
    assert "10 (7)" not in text
    assert "8 (7) 2 (0)" in text
    assert "80.0 to 80.0 % of the images by location" in text
    assert "mrcert_cascade, 32 px, image 3: certified, Case 1, safe at 75% of the locations" in text
    assert "95.0 19 of 20" in text
    assert "1,234 1,200 adaptive 34 random" in text
    assert "4.2e-06" in text
    assert "engine 439 3.142 0.5" in text
    assert "ab" * 32 in text
    assert "1 x cpu" in text
    assert '"certificate": "paper"' in text
    assert "Certified accuracy by patch size" in text


def test_wide_figures_can_be_scrolled_by_keyboard(tmp_path: Path) -> None:
    runs = [evaluation(tmp_path / f"{cost}", [row(0, certified=True)], gflops_per_image=float(cost)) for cost in (1, 2)]
    page, _ = written(tmp_path, runs)
    regions = [box for box in page.all("div") if box.get("aria-label") == "Accuracy against cost"]
    assert [(box["role"], box["tabindex"]) for box in regions] == [("region", "0")]


def test_title_and_footer_are_about_the_kinds_of_certificates(tmp_path: Path, runs: list[EvaluationRun]) -> None:
    counts = {name: Accuracy(1, 2) for name in ("base", "clean", "certified_detection", "certified_ratio", "alerts")}
    detector = evaluation(tmp_path / "detector", [row(0), row(1)], defender="hicert")
    detector = EvaluationRun(detector.file, replace(detector.result, accuracy=counts))
    recovery, detection = "gets the same label, the clean original", "gets the certified label or raises an alert"
    for found, title, said in (
        (runs[:1], "Certified recovery: results", (True, False)),
        ([detector], "Certified detection: results", (False, True)),
        ([detector, runs[0]], "Certified recovery and detection: results", (True, True)),
    ):
        text = written(tmp_path, found)[0].text
        assert title in text
        assert (recovery in text, detection in text) == said


def test_names_are_text_and_nothing_else(tmp_path: Path, runs: list[EvaluationRun]) -> None:
    page, html = written(tmp_path, runs)
    assert HOSTILE in page.text
    assert "<script" not in html


def test_one_run_alone(tmp_path: Path, runs: list[EvaluationRun]) -> None:
    page, _ = written(tmp_path, runs[:1])
    assert "1 evaluation. " in page.text
    for absent in ("by patch size", "Where certificates hold", "Examples", "Attacks", "Benchmark"):
        assert absent not in page.text


def test_seeds_show_mean_and_spread(tmp_path: Path) -> None:
    runs = [
        evaluation(
            tmp_path / str(seed),
            [row(key, certified=key < 5 + 2 * seed) for key in range(10)],
            seed=seed,
            weights_sha256=f"{seed:064x}",
        )
        for seed in range(2)
    ]
    page, _ = written(tmp_path, runs, over_seeds([run.result for run in runs]))
    text = re.sub(r"\s+", " ", page.text)
    assert "60.0 ± 14.1" in text
    assert "0, 1" in text
    assert "one standard deviation over seeds" in text


def test_costs_have_sections_where_they_differ(tmp_path: Path, runs: list[EvaluationRun]) -> None:
    page, _ = written(tmp_path, runs)
    assert "Accuracy against cost" not in page.text
    rows = [row(key, certified=key < 7, round_trip=key < 2) for key in range(10)]
    runs += [
        evaluation(tmp_path / "cost" / defender, rows, defender=defender, gflops_per_image=gflops)
        for defender, gflops in (("mrcert", 2.5), ("mrcert_sharp", 1234.5))
    ]
    page, html = written(tmp_path, runs)
    text = re.sub(r"\s+", " ", page.text)
    assert "Accuracy against cost GFLOPs per image: the image encoded once" in text
    assert "1: vit_srf, mrcert 2.5 70.0 7 of 10 39.7 to 89.2 20.0 2 of 10 5.7 to 51.0 certified, round trip" in text
    assert "2: vit_srf, mrcert_sharp 1,234 70.0 7 of 10" in text
    assert sum("Accuracy against GFLOPs per image" in image["alt"] for image in page.all("img")) == 1
    assert 'class="images wide"' in html


def test_two_runs_image_by_image(tmp_path: Path) -> None:
    """By hand: nine images differ, all on one side, so p = 2 / 2^9."""
    certified = ((key, 1 <= key < 3) for key in range(12))
    a = evaluation(tmp_path / "a", [row(key, certified=holds) for key, holds in certified])
    b = evaluation(tmp_path / "b", [row(key, prediction=int(key > 0), certified=True) for key in range(12)])
    runs = [a, b]
    file = write_page(tmp_path / "report.html", runs, [a.result, b.result], comparison=compare(a, b))
    text = re.sub(r"\s+", " ", Page(file.read_text()).text)
    assert f"A: mrcert, vit_srf, patch 16 px, seed 0: {a.folder}" in text
    assert "clean 100.0 (12) 91.7 (11) -8.3 1 0 1 " in text
    assert "certified 16.7 (2) 91.7 (11) +75.0 0 9 0.0039" in text
    assert "0 clean A digits/0 1 1 0 " in text
    assert "11 certified B digits/11 1 1 1 " in text
    assert "digits/2 " not in text


def test_two_runs_that_are_alike(tmp_path: Path) -> None:
    a, b = (evaluation(tmp_path / name, [row(0), row(1)]) for name in "ab")
    file = write_page(tmp_path / "report.html", [a, b], [a.result, b.result], comparison=compare(a, b))
    text = Page(file.read_text()).text
    assert "A and B on the same 2 images" in text
    assert "Comparison of mrcert and mrcert on digits" in text
    assert "Certified recovery: results" not in text
    assert "only one of the two" not in text


@pytest.mark.parametrize("name", ["certificates.json", "numerics.json", "bench.json"])
@pytest.mark.parametrize("text", ["{", '{"config": {}, "rows": 1}'])
def test_damaged_files_of_other_commands_are_named(
    tmp_path: Path, runs: list[EvaluationRun], name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ResultsError, match=rf"{name} .*remove it or run"):
        written(tmp_path, runs)


def test_damaged_verdicts_and_folders(tmp_path: Path, runs: list[EvaluationRun]) -> None:
    with pytest.raises(ResultsError, match=r"is a folder; name the file .*report\.html"):
        write_page(tmp_path, runs, [])
    (runs[0].folder / "verdicts.parquet").write_bytes(b"")
    with pytest.raises(ResultsError, match="can't read the verdicts"):
        written(tmp_path, runs)
