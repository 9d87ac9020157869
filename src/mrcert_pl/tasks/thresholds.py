"""Certified accuracy and cost for several thresholds of a defender, on validation images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mrcert_pl.defenders import Defender
from mrcert_pl.defenders.detection import ThresholdDetector
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError, DataError
from mrcert_pl.geometry.refined import RefinedUnions
from mrcert_pl.guard.base_model import device_named
from mrcert_pl.metrics import accuracy_of
from mrcert_pl.mutants import MutantEvaluator, MutantSet, PredictionTable
from mrcert_pl.mutants.replay import Replay
from mrcert_pl.results.runs import THRESHOLDS
from mrcert_pl.results.schema import Accuracy, Environment, ThresholdResult, ThresholdRow
from mrcert_pl.tasks.announce import announce_cost, announce_run
from mrcert_pl.tasks.checks import check_number
from mrcert_pl.tasks.progress import within
from mrcert_pl.tasks.runtime import opened
from mrcert_pl.tasks.subject import SubjectSettings, defender_of, document_facts, load_subject

_PRECISION = "32-true"


@dataclass(frozen=True)
class ThresholdSettings(SubjectSettings):
    """Settings of :func:`compare_thresholds`, in addition to those of :class:`mrcert_pl.tasks.subject.SubjectSettings`.

    Attributes:
        defender: defender on refined unions, or detector with a threshold, or its name in the registry.
        thresholds: thresholds to compare.
        batch_size: images per batch.
        token_budget: token budget per batch; default: derived from free device memory.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    defender: Defender[Any] | str = "hicert"
    thresholds: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    batch_size: int = 4
    token_budget: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("images", self.dataset.limit, 1, optional=True)
        check_number("batch_size", self.batch_size, 1)
        check_number("token_budget", self.token_budget, 1, optional=True)
        if not isinstance(self.thresholds, Sequence) or isinstance(self.thresholds, str):
            raise ConfigurationError(f"thresholds must be a list of different numbers, got {self.thresholds!r}")
        for threshold in self.thresholds:
            if type(threshold) not in (int, float) or not 0 <= threshold <= 1:
                raise ConfigurationError(f"thresholds must be numbers from 0 to 1, got {threshold!r}")
        if not self.thresholds or len({*self.thresholds}) < len(self.thresholds):
            raise ConfigurationError(f"thresholds must be a list of different numbers, got {list(self.thresholds)}")


def compare_thresholds(settings: ThresholdSettings) -> ThresholdResult:
    """Evaluate validation images with every threshold; write accuracies and numbers of mutants to the run folder.

    Each mutant is labelled once. The numbers of mutants are those that each threshold queries alone.

    Raises:
        ConfigurationError: for settings that cannot work, or a defender without a threshold.
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        DataError: for missing images.
        NumericalError: for logits that are not finite.
    """
    with opened(settings.run, leaves=THRESHOLDS):
        return _compare(settings)


def _compare(settings: ThresholdSettings) -> ThresholdResult:
    run, device = settings.run, device_named(settings.device)
    defender = defender_of(settings.defender, settings.patches).with_output("map")
    if not isinstance(defender, Refined | ThresholdDetector):
        raise ConfigurationError(
            f"{defender.name} has no threshold; give refine= for small masks that large ones settle, "
            "or a detector with a threshold: defender=hicert or patchguardpp"
        )
    variants = [defender.with_threshold(threshold) for threshold in settings.thresholds]
    subject = load_subject(settings, defender)
    mutants = defender.mutants(subject.model, subject.patch, subject.stride)
    data = settings.dataset.load(subject.model.image_px, run.seed)
    images = data.split("val")
    if not len(images):
        raise DataError(f"{subject.description.name} has no validation images, on which thresholds are compared")
    announce_run(data, {"val": len(images)}, subject.name, mutants, str(device), _PRECISION, run.folder)
    announce_cost(subject.model, mutants, len(images), settings.token_budget, device)
    evaluator = MutantEvaluator(subject.model.to(device), mutants, settings.token_budget)
    evaluator.on_progress = within(run.track)
    tallies = [_Tally(variant, mutants) for variant in variants]
    batches = range(0, len(images), settings.batch_size)
    for start in run.track(batches, "Comparing thresholds", len(batches)):
        samples = [images[i] for i in range(start, min(start + settings.batch_size, len(images)))]
        batch = torch.stack([sample.image for sample in samples]).to(device)
        labels = torch.tensor([sample.label for sample in samples], device=device)
        known = PredictionTable.empty(mutants, len(samples), device)
        for tally in tallies:
            tally.add(evaluator, batch, labels, [sample.id for sample in samples], known)
    refinement = {**defender.refinement} if isinstance(defender, Refined) else {}
    refinement.pop("refine_threshold", None)  # each row has its own
    result = ThresholdResult(
        **document_facts(settings, subject, Environment.here(str(device), _PRECISION), refinement),
        defender=defender.name,
        n=len(images),
        rows=tuple(tally.row(len(images)) for tally in tallies),
    )
    result.write(run.folder / THRESHOLDS)
    return result


class _Tally:
    """Accuracies of one threshold, and the number of mutants that it queries."""

    def __init__(self, defender: Refined | ThresholdDetector, mutants: MutantSet) -> None:
        self.defender = defender
        self.mutants: Any = (
            mutants.with_threshold(defender.threshold) if isinstance(mutants, RefinedUnions) else mutants
        )
        self.metric = accuracy_of(defender)
        self.queried = 0

    def add(
        self,
        evaluator: MutantEvaluator,
        images: Float[Tensor, "image channel height width"],
        labels: Int[Tensor, " image"],
        ids: Sequence[int],
        known: PredictionTable[Any],
    ) -> None:
        own = PredictionTable.empty(self.mutants, len(images), images.device)
        evaluator.evaluate(images, Replay(self.defender, own), ids, known)
        self.metric.update(self.defender.decide(own), labels, base=own.labels[:, 0])
        self.queried += int(own.evaluated.sum())

    def row(self, n: int) -> ThresholdRow:
        accuracy = {name: Accuracy(count, n) for name, count in self.metric.counts().items() if name != "n"}
        return ThresholdRow(self.defender.threshold, accuracy, round(self.queried / n, 2))
