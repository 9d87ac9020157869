"""Evaluations on refined unions: less work than the full lattice, the same again from stored labels, and verified."""

from collections.abc import Callable

import pytest
from foreign_model import Columns
from refined_evaluation import COARSER, IMAGES, PATCH, STRIDE, evaluated

from mrcert_pl import CertificateAuditSettings, DatasetSettings, RunSettings, audit_certificates
from mrcert_pl.defenders import build
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ResultsError
from mrcert_pl.guard import Guard
from mrcert_pl.verification.verify import verify

Run = Callable[..., RunSettings]


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
