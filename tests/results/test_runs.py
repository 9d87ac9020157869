"""Results are found where runs leave them; results of version 1 are read; damaged files are named."""

import json
from pathlib import Path

import pytest
from result_files import evaluation, row

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import EvaluationRun, find_leftovers, find_runs, one_run, read_deltas, read_run

VERSION_1 = Path(__file__).parent / "version_1"


def test_evaluations_of_version_1_are_read() -> None:
    (run,) = find_runs([VERSION_1])
    result = run.result
    assert (result.defender, result.patch, result.n, result.seed) == ("mrcert_sharp", 32, 5, 0)
    assert result.defender_settings == {"patches": 2, "certificate": "sharp", "margin": 0.0}
    assert result.accuracy["base"].measured == 0.2
    assert result.mutants is not None
    assert (result.mutants.kind, result.mutants.sizes["unions"]) == ("unions", 439)
    assert (result.environment.precision, result.environment.versions["python"]) == ("32-true", "3.11.7")
    rows, locations = run.verdicts(), run.locations()
    assert sum(row.base_correct for row in rows) == result.accuracy["base"].count
    assert all(row.safe_masks is not None and len(row.safe_masks) == 12 for row in rows)
    assert locations is not None
    assert locations.shapes_px() == [(32, 32)]


def test_other_results_of_version_1_are_read() -> None:
    found = find_leftovers([VERSION_1])
    (attack,), (audit,), (numerics,), (benchmark,) = (
        [run.result for run in found.attacks],
        [run.result for run in found.certificate_audits],
        [run.result for run in found.numerics],
        [run.result for run in found.benchmarks],
    )
    assert (attack.attack, attack.attack_settings["starts"], attack.before.n) == ("ifgsm", 2, 3)
    assert (audit.defender, audit.dataset, audit.images, audit.labels_broken) == ("mrcert", "digits", 3, 0)
    assert (numerics.model, len(numerics.spreads), numerics.mutants) == ("vit_srf", 6, 6)
    assert benchmark.rows[0].part == "labels of mutants"


def test_results_of_other_commands_are_no_evaluations(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "eval", [row(0)])
    attack = VERSION_1 / "attack" / "results.json"
    assert not isinstance(read_run(attack), EvaluationRun)
    assert [found.file for found in find_runs([tmp_path, attack])] == [run.file]
    assert one_run(tmp_path / "eval").verdicts()[0].path == "digits/0"
    with pytest.raises(ResultsError, match=r"no evaluations in .*attack.*; mrcert eval makes them"):
        find_runs([attack])


def test_one_run_must_be_one(tmp_path: Path) -> None:
    for name in ("first", "second"):
        evaluation(tmp_path / name, [row(0)])
    with pytest.raises(ResultsError, match=r"has 2 evaluations; name one of them:\n  .*first: mrcert\n  .*second"):
        one_run(tmp_path)


def test_runs_are_found_below_folders_once_and_in_order(tmp_path: Path) -> None:
    files = [evaluation(tmp_path / name, [row(0)]).file for name in ("b", "a")]
    assert [run.file for run in find_runs([tmp_path, files[0]])] == files


def test_missing_results(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="can't read"):
        read_run(tmp_path / "results.json")
    with pytest.raises(ResultsError, match="there are no evaluations"):
        find_runs([tmp_path])
    with pytest.raises(ResultsError, match=r"there is no .*nowhere"):
        find_runs([tmp_path / "nowhere"])
    (tmp_path / "other.json").touch()
    with pytest.raises(ResultsError, match=r"other\.json is no results\.json"):
        find_runs([tmp_path / "other.json"])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"format": 0}', '{"format": 3}', '{"format": 1}', "[" * 9999])
def test_a_damaged_result_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(ResultsError, match=r"results\.json .*remove it or run mrcert eval again"):
        read_run(file)


def test_a_drawing_is_found_by_the_id_of_its_image(tmp_path: Path) -> None:
    run = evaluation(tmp_path, [row(0)])
    for name in ("examples/3.png", "images/4.png", "images/other.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert run.drawings() == {3: tmp_path / "examples/3.png", 4: tmp_path / "images/4.png"}


def test_the_spread_of_logits_belongs_to_its_weights(tmp_path: Path) -> None:
    file = VERSION_1 / "numerics.json"
    content = json.loads(file.read_text())
    assert read_deltas(file, content["weights_sha256"]) == content["delta"]
    with pytest.raises(ResultsError, match="about other weights"):
        read_deltas(file, "cd" * 32)
    for text in ("", "[]", "{}", '{"delta": {}}'):
        (tmp_path / "numerics.json").write_text(text)
        with pytest.raises(ResultsError, match=r"numerics\.json is .*run mrcert audit numerics again"):
            read_deltas(tmp_path / "numerics.json", "ab" * 32)
    with pytest.raises(ResultsError, match="No such file"):
        read_deltas(tmp_path / "nowhere.json", "ab" * 32)
