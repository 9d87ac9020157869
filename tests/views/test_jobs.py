"""The table of a multirun: one row per job, nothing clipped."""

import io
import re
from typing import Any

import pytest
from result_files import ENVIRONMENT, result_of, row
from rich.console import Console

from mrcert_pl.results import Accuracy
from mrcert_pl.results.schema import (
    AttackResult,
    AttackTally,
    CertificateAuditResult,
    NumericsResult,
    RunDocument,
    TrainingResult,
)
from mrcert_pl.views.jobs import Job, show_jobs

ROWS = [row(i, prediction=int(i < 8), certified=i < 5, round_trip=i < 1) for i in range(10)]
ABOUT: dict[str, Any] = {"dataset": "digits", "model": "vit_srf", "patch": 16, "seed": 0, "environment": ENVIRONMENT}


def shown(jobs: list[Job], width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    show_jobs(jobs, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    return text


def evaluations(**every: str) -> list[Job]:
    return [
        Job({**every, "defender": defender, "patch": str(patch)}, result_of(ROWS, defender=defender, patch=patch))
        for defender in ("mrcert", "mrcert_cascade")
        for patch in (16, 32)
    ]


def test_what_all_jobs_share_is_no_column() -> None:
    text = shown(evaluations(model="vit_srf"))
    assert text.startswith("\n4 jobs (accuracy in %)")
    assert re.search(r"^ +defender +patch +base +clean +certified +round trip +n +mutants *$", text, re.MULTILINE)
    rows = [line.split() for line in text.splitlines() if "mrcert" in line]
    assert rows == [
        [defender, patch, "100.0", "80.0", "50.0", "10.0", "10", "891"]
        for defender in ("mrcert", "mrcert_cascade")
        for patch in ("16", "32")
    ]


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("settings", [2, 5])
def test_no_word_is_clipped(width: int, settings: int) -> None:
    jobs = evaluations()
    more = {f"recipe.finetuning.setting_{i}": f"value_{i}" for i in range(settings - 2)}
    jobs[0] = Job({**jobs[0].settings, **more}, jobs[0].result)
    text = shown(jobs, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in ("mrcert_cascade", "defender", "certified", "round trip", "mutants", *more, *more.values()):
        assert re.search(rf"\b{re.escape(word)}\b", text), word


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            TrainingResult(**ABOUT, monitor="val/certified_accuracy", best_score=0.815, seconds=61.2),
            ["val/certified_accuracy", "81.5", "61"],
        ),
        (TrainingResult(**ABOUT), []),
        (
            AttackResult(
                **ABOUT,
                weights_sha256="a",
                attack="x",
                n=10,
                before=Accuracy(9, 10),
                after=Accuracy(2, 10),
                successes=7,
                attacked="a",
            ),
            ["before", "90.0 (9)", "after", "20.0 (2)", "successes", " 7"],
        ),
        (
            CertificateAuditResult(
                **ABOUT,
                weights_sha256="a",
                defender="mrcert",
                images=5,
                certified=4,
                round_trip=2,
                placements=9,
                attacks=(AttackTally("noise", 1234),),
                labels_broken=1,
                certificates_broken=2,
            ),
            ["certified", "round trip", "1,234", "broken", " 3"],
        ),
        (
            NumericsResult(
                **ABOUT,
                weights_sha256="a",
                images=1,
                mutants=2,
                spreads=(),
                delta={"32-true": 1e-6},
                margin={"32-true": 2e-6},
            ),
            ["margin, 32-true", "2.0e-06"],
        ),
    ],
)
def test_figures_of_the_other_commands(result: RunDocument, words: list[str]) -> None:
    text = shown([Job({"seed": str(seed)}, result) for seed in (0, 1)])
    assert re.search(r"^ +seed\b", text, re.MULTILINE)
    assert all(word in text for word in words)


def test_attacked_images_have_their_own_number_and_names_are_no_markup() -> None:
    result = result_of(ROWS)
    accuracy = {**result.accuracy, "adversarial_certified": Accuracy(3, 6)}
    attacked = result_of(ROWS, accuracy=accuracy)
    text = shown([Job({"a[/b]": "[red]x"}, attacked), Job({}, result)], 120)
    assert "50.0 (3/6)" in text
    assert "a[/b]" in text
    assert "[red]x" in text
