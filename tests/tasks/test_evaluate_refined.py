"""Evaluations on refined unions: less work than the full lattice, the same again from stored labels, and verified."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from foreign_model import Columns

from mrcert_pl import (
    CertificateAuditSettings,
    DatasetSettings,
    EvaluationSettings,
    RunSettings,
    audit_certificates,
    evaluate,
)
from mrcert_pl.defenders import build
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ResultsError
from mrcert_pl.guard import Guard
from mrcert_pl.results import write_verdicts
from mrcert_pl.tasks.evaluation import Evaluation
from mrcert_pl.verification.verify import verify

Run = Callable[..., RunSettings]
# Masks of three columns at every second one, refined from masks of five at every fourth.
PATCH, STRIDE, COARSER, IMAGES = "8x5", 2, (4,), 5


def evaluated(run: RunSettings, model: Columns, defender: str = "mrcert_cascade", **more: Any) -> Evaluation:
    limit, threshold = more.pop("limit", None), more.pop("threshold", 0.5)
    refined = Refined(build(defender), COARSER, threshold, limit)
    settings = {"model": model, "dataset": DatasetSettings(limit=IMAGES), "patch": PATCH, "stride": STRIDE}
    return evaluate(EvaluationSettings(defender=refined, run=run, **{**settings, **more}))


def test_lazily_by_default_and_verified(run: Run, decisive: Columns) -> None:
    lazy = evaluated(run("lazy"), decisive)
    full = evaluated(run("full"), decisive, evaluate="full")
    fields = ("prediction", "certified", "round_trip", "case", "witness", "level", "certified_patches", "safe_masks")
    for one, other in zip(lazy.rows, full.rows, strict=True):
        assert [getattr(one, name) for name in fields] == [getattr(other, name) for name in fields]
    assert lazy.result.mutants is not None
    sizes = lazy.result.mutants.sizes
    assert lazy.result.mutants_per_image < full.result.mutants_per_image < sizes["columns"]
    assert sizes["levels"] == 2
    assert lazy.result.config["evaluate"] == "lazy"
    assert full.result.config["evaluate"] == "full"
    for done in (lazy, full):
        report = verify(done.folder)
        assert (report.images, report.differences) == (IMAGES, ())


def test_stored_labels_serve_other_defenders(run: Run, decisive: Columns) -> None:
    first = evaluated(run("first"), decisive, evaluate="full")
    again = evaluated(run("again"), decisive, table=first.tables)
    assert [row.prediction for row in again.rows] == [row.prediction for row in first.rows]
    other = evaluated(run("other"), decisive, "patchcure", table=first.tables)
    assert len(other.rows) == IMAGES
    assert not verify(other.folder).differences
    with pytest.raises(ResultsError, match="threshold"):
        evaluated(run("threshold"), decisive, table=first.tables, threshold=0.6)


def test_a_limit_ends_the_queries_for_certificates(run: Run, decisive: Columns) -> None:
    free = evaluated(run("free"), decisive, threshold=0.9)
    limited = evaluated(run("limited"), decisive, threshold=0.9, limit=1)
    stated = {name: limited.result.config[name] for name in ("refine", "refine_threshold", "refine_limit")}
    assert stated == {"refine": [4], "refine_threshold": 0.9, "refine_limit": 1}
    assert [row.prediction for row in limited.rows] == [row.prediction for row in free.rows]
    assert limited.result.mutants_per_image < free.result.mutants_per_image
    assert all(one.certified <= other.certified for one, other in zip(limited.rows, free.rows, strict=True))
    reached = [row.limit_reached for row in limited.rows]
    assert any(reached)
    assert limited.result.limit_reached == sum(map(bool, reached))
    assert (free.result.limit_reached, free.rows[0].limit_reached) == (None, None)
    assert not verify(limited.folder).differences


def test_the_limit_is_blamed_only_where_it_was_reached(run: Run, decisive: Columns) -> None:
    done = evaluated(run("free"), decisive, threshold=0.9, limit=10_000)
    assert done.result.limit_reached == 0
    assert not verify(done.folder).differences
    forge_limit_reached(done, True)
    found = verify(done.folder).differences
    assert {(difference.image_id, difference.field) for difference in found} == {
        (row.id, "limit_reached") for row in done.rows
    }


def test_a_complete_table_has_not_reached_the_limit(run: Run, decisive: Columns) -> None:
    done = evaluated(run("whole"), decisive, threshold=0.9, limit=1, evaluate="full")
    assert done.result.limit_reached == 0
    forge_limit_reached(done, True)
    found = verify(done.folder).differences
    assert {(difference.image_id, difference.field) for difference in found} == {
        (row.id, "limit_reached") for row in done.rows
    }


def test_a_limit_that_is_not_blamed_excuses_nothing(run: Run, decisive: Columns) -> None:
    done = evaluated(run("limited"), decisive, threshold=0.9, limit=1)
    assert done.result.limit_reached
    forge_limit_reached(done, False)
    assert {difference.field for difference in verify(done.folder).differences} & {"certified", "round_trip"}


def test_the_number_of_images_at_the_limit_is_verified(run: Run, decisive: Columns) -> None:
    done = evaluated(run("limited"), decisive, threshold=0.9, limit=1)
    replace(done.result, limit_reached=0).write(done.folder / "results.json")
    assert [difference.field for difference in verify(done.folder).differences] == ["limit_reached"]


def forge_limit_reached(done: Evaluation, stated: bool) -> None:
    write_verdicts(done.folder / "verdicts.parquet", [replace(row, limit_reached=stated) for row in done.rows])
    replace(done.result, limit_reached=stated * len(done.rows)).write(done.folder / "results.json")


@pytest.mark.parametrize(("field", "value"), [("refine_threshold", 0.9), ("unions", 12), ("columns", 1), ("levels", 3)])
def test_a_forged_fact_is_found(run: Run, decisive: Columns, field: str, value: object) -> None:
    done = evaluated(run("forged"), decisive, "patchcure")
    file = done.folder / "results.json"
    content = json.loads(file.read_text())
    place = content["config"] if field.startswith("refine") else content["mutants"]["sizes"]
    place[field] = value
    file.write_text(json.dumps(content))
    assert any(field in difference.field for difference in verify(done.folder).differences)


def test_a_label_that_the_threshold_does_not_give_is_found(
    run: Run, decisive: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables whose header states another threshold than the one that the labels were decided by."""
    done = evaluated(run("honest"), decisive, "mrcert_cascade", threshold=0.999, evaluate="full")
    assert not verify(done.folder).differences
    module = import_module("mrcert_pl.verification.rows")
    real = module.resolve
    monkeypatch.setattr(module, "resolve", lambda columns, _, *rest: real(columns, 1e-9, *rest))
    assert verify(done.folder).differences


def test_a_certificate_that_is_withheld_without_need_is_found(run: Run, decisive: Columns) -> None:
    """A limit excuses what is missing, not what the tables decide."""
    done = evaluated(run("whole"), decisive, threshold=0.9, limit=1, evaluate="full")
    assert not verify(done.folder).differences
    assert any(row.certified for row in done.rows)
    fields = {"certified": False, "round_trip": False, "certified_patches": 0}
    write_verdicts(done.folder / "verdicts.parquet", [replace(row, **fields) for row in done.rows])
    assert any(difference.field == "certified" for difference in verify(done.folder).differences)


def test_certificates_are_attacked(run: Run, decisive: Columns) -> None:
    result = audit_certificates(
        CertificateAuditSettings(
            model=decisive,
            dataset=DatasetSettings(limit=3),
            patch=PATCH,
            stride=STRIDE,
            defender=Refined(build("mrcert_cascade"), COARSER, limit=50),
            step_px=40,
            exemplars=1,
            adaptive={"starts": 1, "steps": 2, "step_size": 0.1, "mutants": 4},
            device="cpu",
            run=run("audit"),
        )
    )
    assert result.images == 3
    assert result.certified > 0
    assert result.tried > 0
    assert (result.labels_broken, result.certificates_broken) == (0, 0)


def test_the_guard_takes_it(decisive: Columns, run: Run) -> None:
    done = evaluated(run("stored"), decisive)
    guard = Guard(decisive, Refined(build("mrcert_cascade"), COARSER), PATCH, stride=STRIDE)
    images = [DatasetSettings(limit=IMAGES).load((8, 192), 0).split("test")[i].image for i in range(IMAGES)]
    verdicts = guard(images)
    assert [verdict.label for verdict in verdicts] == [row.prediction for row in done.rows]
    assert [verdict.certified for verdict in verdicts] == [row.certified for row in done.rows]
    assert [verdict.mutants_evaluated for verdict in verdicts] == [row.mutants_evaluated for row in done.rows]
    assert all(verdict.margin is None or verdict.margin >= 0 for verdict in verdicts)
