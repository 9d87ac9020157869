"""``mrcert thresholds``: the table, the curve, and settings that can't work."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY

Command = Callable[..., None]

THRESHOLDS = ["thresholds", *TINY, "patch=32", "images=3", "device=cpu"]


def test_a_detector_and_refined_unions(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    untrained(*THRESHOLDS, "defender=hicert", "thresholds=[0,0.9]")
    shown = capsys.readouterr().out
    assert "hicert: digits, patch 32 px, 3 validation images, in %" in shown
    assert re.search(r"threshold +clean +detection +ratio +alerts +mutants", shown)
    assert "refine_threshold" not in shown
    untrained(*THRESHOLDS, "defender=patchcure", "stride=1", "refine=2", "thresholds=[0.2,0.9]")
    shown = capsys.readouterr().out
    assert re.search(r"fewest mutants:\s+refine_threshold=0\.", shown)
    files = sorted(Path("outputs/thresholds/digits/vit_srf_p32").rglob("thresholds.json"))
    assert [json.loads(file.read_text())["defender"] for file in files] == ["hicert", "patchcure"]
    for file in files:
        assert file.with_name("thresholds.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "mrcert has no threshold; give refine="),
        (["defender=hicert", "thresholds=[2]"], "thresholds must be numbers from 0 to 1, got 2"),
        (["defender=hicert", "thresholds=[a]"], "thresholds must be numbers from 0 to 1, got 'a'"),
        (["defender=hicert", "thresholds=0.5"], r"thresholds must be a list of different numbers, got 0\.5"),
        (["defender=hicert", "images=0"], "images must be a whole number of at least 1, got 0"),
        (["stride=1", "refine=3", "defender=patchcure", "thresholds=[0]"], "must be between 0 and 1, got 0"),
    ],
)
def test_bad_settings(untrained: Command, refused: Callable[..., str], arguments: list[str], message: str) -> None:
    assert re.search(message, refused(*THRESHOLDS, *arguments))
    assert list(Path().rglob("thresholds.json")) == []
