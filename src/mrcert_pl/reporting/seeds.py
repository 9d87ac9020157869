"""Runs that differ in nothing but the seed, as one: mean and spread."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting.summary import Result, grouped

# What makes an evaluation what it is, beside its data set, model, patch and defender; where it ran and wrote doesn't.
_SETTINGS = ("patches", "stride", "defender")
_DATASET = ("limit", "resize")
_START = ("pretrained", "weights", "head_rows")


def over_seeds(results: Sequence[Result]) -> list[Result]:
    """One result for all that have the same configuration except the seed, in the order of their first ones.

    Each accuracy has the mean of the seeds as ``measured`` and their sample standard deviation as ``spread``, which is
    ``None`` for a single seed. Of evaluations of the same weights with the same seed the newest one counts.

    Args:
        results: evaluations, oldest first.

    Returns:
        Results with the facts of their newest run, ``seeds``, and ``weights``, the number of different ones.

    Raises:
        ResultsError: if other weights have the same seed, so that it doesn't say which training they are from.
    """
    identified = [{**result, "identity": _identity(result)} for result in results]
    return [_aggregate(_by_seed(group)) for group in grouped(identified, "identity")]


def _identity(result: Result) -> str:
    config = result["config"]
    facts = [result[key] for key in ("dataset", "model", "patch", "defender", "n")]
    model = {name: value for name, value in config["model"].items() if name not in _START}
    dataset = [config["dataset"].get(name) for name in _DATASET]
    return json.dumps([facts, model, dataset, [config.get(name) for name in _SETTINGS]], sort_keys=True)


def _by_seed(group: Sequence[Result]) -> list[Result]:
    runs: dict[int, Result] = {}
    for result in group:
        seed = result["seed"]
        if seed in runs and runs[seed]["weights_sha256"] != result["weights_sha256"]:
            raise ResultsError(
                f"two evaluations of {result['defender']} ({result['dataset']}, {result['model']}, patch "
                f"{result['patch']}) have seed {seed} and different weights; evaluate each with the seed= that its "
                "weights were trained with, or give the paths of the runs that belong together"
            )
        runs[seed] = result
    return [runs[seed] for seed in sorted(runs)]


def _aggregate(runs: Sequence[Result]) -> Result:
    names = dict.fromkeys(name for run in runs for name in run["accuracy"])
    return {
        **{key: value for key, value in runs[-1].items() if key not in ("identity", "seed", "weights_sha256")},
        "accuracy": {name: _mean([run["accuracy"][name] for run in runs if name in run["accuracy"]]) for name in names},
        **{cost: _mean_cost(runs, cost) for cost in ("mutants_per_image", "gflops_per_image")},
        "seeds": [run["seed"] for run in runs],
        "weights": len({run["weights_sha256"] for run in runs}),
    }


def _mean(accuracies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shares = [accuracy["measured"] for accuracy in accuracies if accuracy["measured"] is not None]
    return {
        "measured": fmean(shares) if shares else None,
        "spread": stdev(shares) if len(shares) > 1 else None,
        "counts": [accuracy["count"] for accuracy in accuracies],
        "reported": accuracies[-1]["reported"],
    }


def _mean_cost(runs: Sequence[Result], cost: str) -> float | None:
    known = [run[cost] for run in runs if run.get(cost) is not None]
    return fmean(known) if known else None
