import json
from pathlib import Path

import pytest
from result_files import evaluation, row

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting import find_runs, one_run, write_results
from mrcert_pl.reporting.runs import read_run


def test_results_of_other_commands_are_no_evaluations(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "eval", [row(0)])
    attack = write_results(tmp_path / "attack" / "results.json", {"base_after": 1, "n": 2}, {}, dataset="digits")
    assert read_run(attack) is None
    assert [found.file for found in find_runs([tmp_path])] == [run.file]
    assert one_run(tmp_path / "eval").verdicts()[0]["path"] == "digits/0"
    with pytest.raises(ResultsError, match=r"no evaluations in .*attack.*; python eval\.py makes them"):
        find_runs([attack])


def test_one_run_must_be_one(tmp_path: Path) -> None:
    for name in ("first", "second"):
        evaluation(tmp_path / name, [row(0)])
    with pytest.raises(ResultsError, match=r"has 2 evaluations; name one of them:\n  .*first: mrcert\n  .*second"):
        one_run(tmp_path)


def test_a_result_without_its_facts_is_named(tmp_path: Path) -> None:
    file = evaluation(tmp_path, [row(0)]).file
    content = json.loads(file.read_text())
    del content["seed"], content["patch"]
    file.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=r"results\.json lacks patch, seed; .*run its evaluation again"):
        read_run(file)
