"""``mrcert cross``: the table, the file, and errors in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from result_files import evaluation, row

Command = Callable[..., None]


def test_two_evaluations_check_each_other(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation(tmp_path / "a", [row(0, certified=True), row(1)])
    evaluation(tmp_path / "b", [row(0, certified=True), row(1, prediction=0)], defender="vot")
    command("cross", str(tmp_path / "a"), str(tmp_path / "b"), "--json", "cross.json")
    printed = capsys.readouterr().out
    assert "mrcert, vot" in printed
    assert "unwavering" in printed
    written = json.loads(Path("cross.json").read_text())
    assert written["accuracy"]["alerts"]["count"] == 1
    assert written["accuracy"]["certified_detection"]["count"] == 1


def test_errors_are_sentences(refused: Callable[..., str], tmp_path: Path) -> None:
    evaluation(tmp_path / "a", [row(0)])
    evaluation(tmp_path / "b", [row(0)], patch=48)
    assert "evaluate both for the same patch=" in refused("cross", str(tmp_path / "a"), str(tmp_path / "b"))
    assert "there is no" in refused("cross", str(tmp_path / "a"), str(tmp_path / "nowhere"))
