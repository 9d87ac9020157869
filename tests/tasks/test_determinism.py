"""The seed alone decides: the same evaluation gives the same files, however the work is divided."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_tasks import CPU

from mrcert_pl import DatasetSettings, EvaluationSettings, RunSettings, evaluate
from mrcert_pl.models import ViTSRF
from mrcert_pl.results.runs import LOCATIONS, RESULTS, VERDICTS

Run = Callable[..., RunSettings]
# What tells where and when a run was, and nothing of its outcome.
FREE = ("seconds", "command", "config", "environment", "table")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def evaluated(tiny_vit: ViTSRF, run: Run) -> Callable[..., dict[str, Any]]:
    """Evaluate the same images; return the bytes of the verdicts and the counts."""

    def work(name: str, threads: int = 1, **settings: Any) -> dict[str, Any]:
        torch.set_num_threads(threads)
        what: dict[str, Any] = {
            "dataset": DatasetSettings(limit=4),
            "defender": "mrcert_sharp",
            "patch": 32,
            "patches": 1,
            "trainer": CPU,
        }
        what |= {"model": tiny_vit, "run": run(name, seed=3)}
        folder = evaluate(EvaluationSettings(**{**what, **settings})).folder
        return outcome(folder)

    return work


def outcome(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / RESULTS).read_text())
    counts = {name: value for name, value in result.items() if name not in FREE}
    return {"counts": counts, **{name: (folder / name).read_bytes() for name in (VERDICTS, LOCATIONS)}}


def test_batches_budgets_threads_and_stores_change_no_byte(evaluated: Callable[..., dict[str, Any]], run: Run) -> None:
    first = evaluated("first")
    assert first["counts"]["n"] == 4
    assert evaluated("again") == first
    assert evaluated("two", batch_size=2, token_budget=300) == first
    assert evaluated("four", batch_size=4, token_budget=1, threads=2) == first
    assert evaluated("stored", store=run("first").folder / "mutants") == first


def test_another_seed_draws_other_images(evaluated: Callable[..., dict[str, Any]], run: Run) -> None:
    assert evaluated("other", run=run("other", seed=4)) != evaluated("first")
