"""Verification of evaluations on refined unions: what a limit excuses, and forged facts."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from foreign_model import Columns, decisive_columns
from refined_evaluation import evaluated

from mrcert_pl import RunSettings
from mrcert_pl.results import write_verdicts
from mrcert_pl.tasks.evaluation import Evaluation
from mrcert_pl.verification.verify import verify


@pytest.fixture
def run(tmp_path: Path) -> RunSettings:
    return RunSettings(tmp_path / "run")


@pytest.fixture
def decisive() -> Columns:
    return decisive_columns()


def test_the_limit_is_blamed_only_where_it_was_reached(run: RunSettings, decisive: Columns) -> None:
    done = evaluated(run, decisive, threshold=0.9, limit=10_000)
    assert done.result.limit_reached == 0
    assert not verify(done.folder).differences
    forge_limit_reached(done, True)
    found = verify(done.folder).differences
    assert {(difference.image_id, difference.field) for difference in found} == {
        (row.id, "limit_reached") for row in done.rows
    }


def test_a_complete_table_has_not_reached_the_limit(run: RunSettings, decisive: Columns) -> None:
    done = evaluated(run, decisive, threshold=0.9, limit=1, evaluate="full")
    assert done.result.limit_reached == 0
    forge_limit_reached(done, True)
    found = verify(done.folder).differences
    assert {(difference.image_id, difference.field) for difference in found} == {
        (row.id, "limit_reached") for row in done.rows
    }


def test_a_limit_that_is_not_blamed_excuses_nothing(run: RunSettings, decisive: Columns) -> None:
    done = evaluated(run, decisive, threshold=0.9, limit=1)
    assert done.result.limit_reached
    forge_limit_reached(done, False)
    assert {difference.field for difference in verify(done.folder).differences} & {"certified", "round_trip"}


def test_the_number_of_images_at_the_limit_is_verified(run: RunSettings, decisive: Columns) -> None:
    done = evaluated(run, decisive, threshold=0.9, limit=1)
    replace(done.result, limit_reached=0).write(done.folder / "results.json")
    assert [difference.field for difference in verify(done.folder).differences] == ["limit_reached"]


def forge_limit_reached(done: Evaluation, stated: bool) -> None:
    write_verdicts(done.folder / "verdicts.parquet", [replace(row, limit_reached=stated) for row in done.rows])
    replace(done.result, limit_reached=stated * len(done.rows)).write(done.folder / "results.json")


@pytest.mark.parametrize(("field", "value"), [("refine_threshold", 0.9), ("unions", 12), ("columns", 1), ("levels", 3)])
def test_a_forged_fact_is_found(run: RunSettings, decisive: Columns, field: str, value: object) -> None:
    done = evaluated(run, decisive, "patchcure")
    file = done.folder / "results.json"
    content = json.loads(file.read_text())
    place = content["config"] if field.startswith("refine") else content["mutants"]["sizes"]
    place[field] = value
    file.write_text(json.dumps(content))
    assert any(field in difference.field for difference in verify(done.folder).differences)


def test_a_label_that_the_threshold_does_not_give_is_found(
    run: RunSettings, decisive: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables whose header states another threshold than the one that the labels were decided by."""
    done = evaluated(run, decisive, "mrcert_cascade", threshold=0.999, evaluate="full")
    assert not verify(done.folder).differences
    module = import_module("mrcert_pl.verification.rows")
    real = module.resolve
    monkeypatch.setattr(module, "resolve", lambda columns, _, *rest: real(columns, 1e-9, *rest))
    assert verify(done.folder).differences


def test_a_certificate_that_is_withheld_without_need_is_found(run: RunSettings, decisive: Columns) -> None:
    """A limit excuses what is missing, not what the tables decide."""
    done = evaluated(run, decisive, threshold=0.9, limit=1, evaluate="full")
    assert not verify(done.folder).differences
    assert any(row.certified for row in done.rows)
    fields = {"certified": False, "round_trip": False, "certified_patches": 0}
    write_verdicts(done.folder / "verdicts.parquet", [replace(row, **fields) for row in done.rows])
    assert any(difference.field == "certified" for difference in verify(done.folder).differences)
