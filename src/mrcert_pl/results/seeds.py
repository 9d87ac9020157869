"""Runs that differ in the seed alone, as one result: mean and spread."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypeAlias

from mrcert_pl.errors import ResultsError
from mrcert_pl.initial_weights import INITIAL_WEIGHTS
from mrcert_pl.results.codec import Settings
from mrcert_pl.results.schema import Accuracy, EvaluationResult, Patch, SeedAccuracy

# Settings that distinguish evaluations, besides data set, model, patch and defender.
_SETTINGS = ("patches", "stride")
_DATASET = ("limit", "resize")


@dataclass(frozen=True)
class SeedsResult:
    """Evaluations of one configuration over several seeds.

    Attributes:
        newest: Newest run; data set, model, patch and defender are the same in all.
        accuracy: Accuracies by name.
        mutants_per_image: Mean over the runs.
        gflops_per_image: Mean over the runs that counted operations.
        seeds: Seeds of the runs.
        weights: Number of distinct weights.
    """

    newest: EvaluationResult
    accuracy: Mapping[str, SeedAccuracy]
    mutants_per_image: float
    gflops_per_image: float | None
    seeds: tuple[int, ...]
    weights: int

    @property
    def dataset(self) -> str:
        return self.newest.dataset

    @property
    def model(self) -> str:
        return self.newest.model

    @property
    def patch(self) -> Patch:
        return self.newest.patch

    @property
    def defender(self) -> str:
        return self.newest.defender

    @property
    def defender_settings(self) -> Settings:
        return self.newest.defender_settings

    @property
    def n(self) -> int:
        return self.newest.n

    @property
    def round_trip_note(self) -> str | None:
        return self.newest.round_trip_note

    @property
    def config(self) -> Settings:
        return self.newest.config

    @property
    def weights_sha256(self) -> str:
        """No digest: the runs have several."""
        return ""


AnyResult: TypeAlias = EvaluationResult | SeedsResult
"""What tables and figures of accuracies show."""


def over_seeds(results: Sequence[EvaluationResult]) -> list[SeedsResult]:
    """Combine results that have the same configuration except the seed, in the order of their first ones.

    Of evaluations of the same weights with the same seed the newest counts.

    Args:
        results: Evaluations, oldest first.

    Raises:
        ResultsError: If different weights have the same seed, so that it does not identify their training.
    """
    groups: dict[str, list[EvaluationResult]] = {}
    for result in results:
        groups.setdefault(_identity(result), []).append(result)
    return [_combined(_by_seed(group)) for group in groups.values()]


def _identity(result: EvaluationResult) -> str:
    config = result.config
    facts = [result.dataset, result.model, str(result.patch), result.defender, result.n]
    model, dataset = _mapping(config, "model"), _mapping(config, "dataset")
    settings = [
        {name: value for name, value in model.items() if name not in INITIAL_WEIGHTS},
        [dataset.get(name) for name in _DATASET],
        [config.get(name) for name in _SETTINGS],
        dict(result.defender_settings),
    ]
    return json.dumps([facts, settings], sort_keys=True, default=str)


def _mapping(config: Settings, name: str) -> Settings:
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}


def _by_seed(group: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    runs: dict[int, EvaluationResult] = {}
    for result in group:
        earlier = runs.get(result.seed)
        if earlier is not None and earlier.weights_sha256 != result.weights_sha256:
            raise ResultsError(
                f"two evaluations of {result.defender} ({result.dataset}, {result.model}, patch {result.patch}) have "
                f"seed {result.seed} and different weights; evaluate each with the seed= that its weights were trained "
                "with, or give the paths of the runs that belong together"
            )
        runs[result.seed] = result
    return [runs[seed] for seed in sorted(runs)]


def _combined(runs: Sequence[EvaluationResult]) -> SeedsResult:
    names = dict.fromkeys(name for run in runs for name in run.accuracy)
    gflops = [run.gflops_per_image for run in runs if run.gflops_per_image is not None]
    return SeedsResult(
        newest=runs[-1],
        accuracy={name: _mean([run.accuracy[name] for run in runs if name in run.accuracy]) for name in names},
        mutants_per_image=fmean(run.mutants_per_image for run in runs),
        gflops_per_image=fmean(gflops) if gflops else None,
        seeds=tuple(run.seed for run in runs),
        weights=len({run.weights_sha256 for run in runs}),
    )


def _mean(accuracies: Sequence[Accuracy]) -> SeedAccuracy:
    values = [accuracy.measured for accuracy in accuracies if accuracy.measured is not None]
    return SeedAccuracy(
        mean=fmean(values) if values else None,
        spread=stdev(values) if len(values) > 1 else None,
        counts=tuple(accuracy.count for accuracy in accuracies),
        reported=accuracies[-1].reported,
    )
