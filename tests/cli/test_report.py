"""The command from end to end, on results without a model."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from result_files import evaluation, row

Command = Callable[..., None]


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Folders of two evaluations below ``outputs``."""
    for name, certified in (("a", 4), ("b", 7)):
        rows = [row(key, certified=key < certified) for key in range(10)]
        evaluation(tmp_path / "outputs" / name, rows, defender=f"defender_{name}")
    return "outputs/a", "outputs/b"


def test_a_page_beside_the_table(command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    command("report", "--html", "pages/report.html")
    output = capsys.readouterr().out
    assert "digits, vit_srf, patch 16 px, 10 images" in output
    assert output.splitlines()[-1] == "pages/report.html"
    assert "defender_a" in Path("pages/report.html").read_text()


def test_a_figure_of_costs(command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("report", "--frontier", "frontier.svg")
    assert "at different costs" in capsys.readouterr().err
    for name, gflops in zip(two, (1.5, 30), strict=True):
        file = Path(name) / "results.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "gflops_per_image": gflops}))
    command("report", "--frontier", "figures/frontier.svg")
    assert capsys.readouterr().out.splitlines()[-1] == "figures/frontier.svg"
    assert ">GFLOPs per image</text>" in Path("figures/frontier.svg").read_text()


def test_a_page_that_cannot_be_written(
    command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command("report", "--html", "outputs/a/results.json/report.html")
    message = capsys.readouterr().err
    assert "can't write outputs/a/results.json/report.html" in message
    assert "choose another --html" in message


def test_a_damaged_result_is_left_out(
    command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("outputs/a/results.json").write_text("{}")
    with pytest.raises(SystemExit, match="1"):
        command("report", "--html", "report.html")
    output = capsys.readouterr()
    assert "defender_b" in output.out
    assert "defender_b" in Path("report.html").read_text()
    assert output.err.startswith("error: left out: outputs/a/results.json")
    assert output.err.count("results.json") == 1
    Path("outputs/b/results.json").write_text("[")
    with pytest.raises(SystemExit, match="1"):
        command("report")
    assert capsys.readouterr().err.startswith("error: outputs/")


@pytest.mark.parametrize("form", ["markdown", "csv", "latex"])
def test_formats_are_all_that_is_printed(
    command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    command("report", *two, "--format", form)
    output = capsys.readouterr().out
    assert output.startswith({"markdown": "| data set ", "csv": "dataset,", "latex": "% "}[form])


def test_comparison(command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    command("report", "--compare", *two)
    assert "certified in B alone: 4, 5, 6" in capsys.readouterr().out
    command("report", "--compare", *two, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["id"] for line in rows] == ["4", "5", "6"]


def test_comparison_on_a_page(command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The images are all that other programs read."""
    command("report", "--compare", *two, "--format", "csv", "--html", "compared.html")
    printed = capsys.readouterr()
    assert len(list(csv.DictReader(io.StringIO(printed.out)))) == 3
    assert printed.err.strip() == "compared.html"
    assert "A and B on the same 10 images" in Path("compared.html").read_text()


def test_seeds(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        rows = [row(key, certified=key < 5 + seed) for key in range(10)]
        evaluation(tmp_path / "outputs" / str(seed), rows, seed=seed, weights_sha256=f"{seed:064x}")
    command("report", "--over-seeds")
    assert "55.0 ± 7.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no nowhere"),
        (["--compare", "outputs/a", "outputs"], "outputs has 2 evaluations; name one of them"),
        (["outputs/a/verdicts.parquet"], "outputs/a/verdicts.parquet is no results.json"),
        (["--html", "outputs"], "outputs is a folder; name the file"),
        (
            ["--frontier", "frontier.jpg"],
            "frontier.jpg is no name of a figure; choose one that ends in .svg, .png, .pdf",
        ),
    ],
)
def test_mistakes(
    command: Command, two: tuple[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("report", *arguments)
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--compare", "a", "b", "outputs"],
        ["--compare", "a", "b", "--frontier", "frontier.svg"],
        ["--compare", "a", "b", "--over-seeds"],
        ["--compare", "a", "b", "--format", "latex"],
        ["--compare", "a"],
        ["--format", "x"],
    ],
)
def test_arguments_without_meaning(command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("report", *arguments)
    assert stopped.value.code == 2
    assert "mrcert report: error: " in capsys.readouterr().err
