"""Publication of a guard: its folder, or a repository on the Hugging Face hub, with the measured accuracies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError, ResultsError
from mrcert_pl.guard import Guard, MeasuredAccuracy
from mrcert_pl.guard.hub import CONFIG, check_repository
from mrcert_pl.guard.origin import Origin
from mrcert_pl.models.checkpoints import read_checkpoint, weights_digest
from mrcert_pl.results.labels import patch_text
from mrcert_pl.results.runs import find_runs
from mrcert_pl.results.schema import EvaluationResult, MutantFacts
from mrcert_pl.tasks.checks import check_flag
from mrcert_pl.tasks.predict import PredictionSettings, guard_of
from mrcert_pl.tasks.subject import patch_setting

_NAMES = {
    "base": "accuracy of the base model alone",
    "clean": "clean accuracy",
    "certified": "certified accuracy",
    "round_trip": "round-trip certified accuracy",
}


@dataclass(frozen=True)
class PushSettings:
    """Settings of :func:`push`.

    Attributes:
        guard: checkpoint, defender, patch and policy.
        repo: ``owner/name`` of a repository on the Hugging Face hub to upload to.
        folder: folder to write instead, without a network.
        results: folders of evaluations; those of this guard go to the model card.
        training: description of the training; default: data set, patch and seed in the checkpoint.
        private: visibility of a new repository.
    """

    guard: PredictionSettings = field(default_factory=PredictionSettings)
    repo: str | None = None
    folder: Path | None = None
    results: Sequence[Path] = ()
    training: str | None = None
    private: bool = False

    def __post_init__(self) -> None:
        if (self.repo is None) == (self.folder is None):
            raise ConfigurationError(
                "give repo=owner/name to upload the guard to the Hugging Face hub, or folder=FOLDER to write its files "
                "without a network"
            )
        check_flag("private", self.private)
        if self.training is not None and not isinstance(self.training, str):
            raise ConfigurationError(f"training must be a text, got {self.training!r}")
        if self.repo is not None:
            check_repository(self.repo)
        if self.guard.checkpoint is None:
            raise ConfigurationError("give checkpoint=FILE: a best.ckpt of train.py, or a file of mrcert convert")


@dataclass(frozen=True)
class Pushed:
    """Result of :func:`push`.

    Attributes:
        location: address of the repository, or the folder.
        results: accuracies in the model card.
    """

    location: str
    results: tuple[MeasuredAccuracy, ...]


def push(settings: PushSettings) -> Pushed:
    """Publish a guard: weights, configuration and a model card. Only ``repo`` uses the network.

    Raises:
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        ConfigurationError: for settings that cannot work, or an upload that fails.
        ResultsError: for damaged results, results of which none is about this guard, or a folder that can't be written.
    """
    if settings.folder is not None:
        _check_folder(settings.folder)
    # Results are read before weights.
    found = [run.result for run in find_runs(settings.results)] if settings.results else []
    guard = guard_of(settings.guard)
    results = tuple(_measured(found, guard))
    if found and not results:
        raise ResultsError(
            f"none of the {len(found)} evaluations in {', '.join(map(str, settings.results))} is about these weights, "
            f"the defender {guard.defender.name} and the patch {patch_text(patch_setting(guard.patch))}; "
            f"mrcert eval checkpoint={settings.guard.checkpoint} defender={guard.defender.name} makes one"
        )
    training = settings.training or _training(settings.guard.checkpoint)
    if settings.folder is not None:
        return Pushed(str(guard.save_pretrained(settings.folder, results, training)), results)
    return Pushed(guard.push_to_hub(str(settings.repo), results, training, settings.private), results)


def _check_folder(folder: Path) -> None:
    """Refuse a folder with other files, such as a README.md."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise ConfigurationError(f"{folder} has other files than those of a guard; choose another folder=")


def _measured(found: Sequence[EvaluationResult], guard: Guard) -> Iterator[MeasuredAccuracy]:
    """Yield the accuracies of the evaluations of this guard, each once."""
    model: Any = guard.model  # built from a checkpoint, so it has weights
    digest = weights_digest(model)
    subject = (
        patch_setting(guard.patch),
        guard.defender.name,
        dict(guard.defender.settings),
        MutantFacts.of(guard.evaluator.mutants.summary()),
    )
    refinement = guard.defender.refinement if isinstance(guard.defender, Refined) else {}
    seen = set()
    for result in found:
        its = (result.patch, result.defender, dict(result.defender_settings), result.mutants)
        stated = {name: result.config.get(name) for name in refinement}
        if result.weights_sha256 != digest or its != subject or stated != refinement:
            continue
        for name, accuracy in result.accuracy.items():
            words = f"{_NAMES.get(name, name.replace('_', ' '))} on {_images(result.dataset)}, seed {result.seed}"
            measured = MeasuredAccuracy(words, accuracy.count, accuracy.n) if accuracy.n else None
            if measured and measured not in seen:
                seen.add(measured)
                yield measured


def _images(dataset: str) -> str:
    return "own images" if dataset == "folder" else dataset


def _training(checkpoint: Path | None) -> str | None:
    """Describe the training by what the checkpoint states; ``None`` if it states no data set."""
    content = read_checkpoint(str(checkpoint))
    origin, seed = Origin.of(content.origin, content.path), content.origin.get("seed")
    if origin.dataset is None:
        return None
    parts = [f"fine-tuned on {_images(origin.dataset)} by mrcert_pl"]
    parts += [f"for a patch of {patch_text(origin.patch)}"] if isinstance(origin.patch, int) else []
    parts += [f"for the patch {origin.patch}"] if isinstance(origin.patch, str) else []
    return ", ".join([*parts, *([f"seed {seed}"] if isinstance(seed, int) else [])])


__all__ = ["PushSettings", "Pushed", "push"]
