"""docs/leaderboard.md is what docs/make_leaderboard.py makes of the rows, and the rows are what their sources say."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from pages import ROOT

from mrcert_pl.cli.app import CONF_DIR

DOCS = ROOT / "docs"
_SPEC = importlib.util.spec_from_file_location("make_leaderboard", DOCS / "make_leaderboard.py")
assert _SPEC is not None
assert _SPEC.loader is not None
board: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(board)

PAGE = (DOCS / "leaderboard.md").read_text()
ROWS = board.read_rows(DOCS / "leaderboard")
REPORTED = {
    "method": "A",
    "dataset": "ImageNet",
    "patch": "32 px",
    "reported": {"source": "B", "clean": 70.0, "certified": 40.0},
}
MEASURED = {
    "method": "A",
    "dataset": "digits",
    "patch": "16 px",
    "measured": {
        "command": "python eval.py",
        "link": "results.md#digits",
        "n": 10,
        "seeds": [0],
        "precision": "float32",
        "certified": 5,
        "round_trip": 5,
    },
}


def blocks_of_the_guide() -> list[Any]:
    return [json.loads(text) for text in re.findall(r"```json[^\n]*\n(.*?)```", PAGE, re.DOTALL)]


def section(link: str) -> str:
    """The text below the heading of a link within the documentation."""
    page, _, anchor = link.partition("#")
    for part in re.split(r"\n(?=#)", (DOCS / page).read_text()):
        heading = part.splitlines()[0].lstrip("# ").lower()
        if re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading)) == anchor:
            return part
    raise AssertionError(f"{page} has no heading {anchor}")


def test_the_page_is_up_to_date() -> None:
    between = PAGE.split(board.START)[1].split(board.END)[0]
    assert between == f"\n{board.tables(ROWS)}\n", "run python docs/make_leaderboard.py"


def test_there_are_rows_of_every_origin() -> None:
    assert sum(row.reported is not None for row in ROWS.values()) >= 14
    assert sum(row.measured is not None for row in ROWS.values()) >= 40
    assert any(row.figures.detection is not None for row in ROWS.values())


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.measured is not None])
def test_figures_measured_here_are_those_of_the_page_of_results(name: str) -> None:
    measured = ROWS[name].measured
    if not measured.link.startswith("https://"):
        text = section(measured.link)
        for count in (value for figure in board.FIGURES if (value := getattr(measured, figure)) is not None):
            # A section with a hundred images has counts alone, which are percentages.
            # Those of the protocol have the interval in the same parentheses.
            shown = f"{100 * count / measured.n:.1f} ({count}"
            found = f"{shown})" in text or f"{shown};" in text or (measured.n == 100 and f" {count} " in text)
            assert found, f"{count} of {measured.n} is not in {measured.link}"


@pytest.mark.parametrize("dataset", ["digits", "ImageNette"])
def test_commands_compose(dataset: str) -> None:
    commands = {row.measured.command for row in ROWS.values() if row.dataset == dataset and row.measured}
    # All commands differ in few values; a few of them have them all.
    crossed = {command for command in commands if command.startswith("mrcert cross ")}
    assert all(len(shlex.split(command)) == 4 for command in crossed)
    for command in sorted(commands - crossed)[::6]:
        python, script, *overrides = shlex.split(command)
        assert (python, script) == ("python", "eval.py")
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            compose("eval", overrides=overrides)


def test_the_rows_of_the_guide_are_rows(tmp_path: Path) -> None:
    reported, measured = blocks_of_the_guide()
    (tmp_path / "a.json").write_text(json.dumps(reported))
    (tmp_path / "b.json").write_text(
        json.dumps({**{name: reported[name] for name in ("method", "dataset", "patch")}, "measured": measured})
    )
    table = board.tables(board.read_rows(tmp_path))
    assert "| My defense, width 19 | ViT-B | 70 | 40 |  |  |" in table
    assert "| 91.9 (1800; 91 to 93) | 76.6 (1500; 75 to 78) |  | 51.0 (1000; 49 to 53) |" in table
    assert "[command](leaderboard/b.json)" in table


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({**REPORTED, "patch": 32}, "patch: "),
        ({**REPORTED, "speed": "fast"}, "speed: unknown field"),
        ({**REPORTED, "method": "A | B"}, "method: "),
        ({**REPORTED, "dataset": "imagenet"}, "dataset: "),
        ({**REPORTED, "reported": {"source": "B"}}, "reported: must have one of clean, certified, detection"),
        ({**REPORTED, "reported": {"source": "B", "clean": 101.0}}, "reported.clean: "),
        ({**REPORTED, "reported": {"clean": 70.0}}, "reported.source: missing field"),
        (
            {**REPORTED, "reported": {"source": "B", "clean": 30.0, "certified": 40.0}},
            "certified: must be at most clean = 30, got 40",
        ),
        ({**REPORTED, "reported": {"source": "B", "clean": 70.0, "link": "javascript:alert(1)"}}, "reported.link: "),
        ({**REPORTED, **MEASURED}, "reported: must be given or measured must be, not both"),
        ({**MEASURED, "measured": {**MEASURED["measured"], "certified": 4}}, "must be at most certified = 4, got 5"),
        ({**MEASURED, "measured": {**MEASURED["measured"], "n": 4}}, "certified: must be at most n = 4, got 5"),
        ({**MEASURED, "measured": {**MEASURED["measured"], "command": "rm -r x"}}, "measured.command: "),
        ([], ""),
    ],
)
def test_a_bad_row_gets_one_sentence(row: Any, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaderboard").mkdir()
    (tmp_path / "leaderboard/mine.json").write_text(json.dumps(row))
    monkeypatch.setattr(board, "DOCS", tmp_path)
    with pytest.raises(SystemExit) as stopped:
        board.main()
    message = str(stopped.value.code)
    assert message.startswith("error: docs/leaderboard/mine.json: ")
    assert problem in message
    assert "\n" not in message


def test_a_new_row_is_written_into_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaderboard").mkdir()
    (tmp_path / "leaderboard/mine.json").write_text(json.dumps(MEASURED))
    (tmp_path / "leaderboard.md").write_text(f"before\n{board.START}old\n{board.END}after\n")
    monkeypatch.setattr(board, "DOCS", tmp_path)
    board.main()
    page = (tmp_path / "leaderboard.md").read_text()
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert "### digits, 16 px" in page
