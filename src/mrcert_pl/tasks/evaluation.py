"""Settings and result of an evaluation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcert_pl.defenders import Defender, OutputLevel
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.metrics.certified_detection import DETECTIONS, HARMFUL_ALERTS
from mrcert_pl.metrics.certified_recovery import ACCURACIES, ADVERSARIAL
from mrcert_pl.results.examples import DefenceExample, Example
from mrcert_pl.results.locations import Locations
from mrcert_pl.results.runs import read_deltas
from mrcert_pl.results.schema import EvaluationResult, VerdictRow
from mrcert_pl.tasks.checks import check_choice, check_mapping, check_number, check_store
from mrcert_pl.tasks.settings import TrainerSettings
from mrcert_pl.tasks.subject import SubjectSettings

# Output level of the defender.
LEVELS = {"full": OutputLevel("table"), "lazy": OutputLevel("map")}


@dataclass(frozen=True)
class EvaluationSettings(SubjectSettings):
    """Settings of :func:`mrcert_pl.evaluate`, in addition to those of :class:`mrcert_pl.tasks.subject.SubjectSettings`.

    Attributes:
        defender: defender, or its name in the registry.
        trainer: devices and precision.
        batch_size: images per batch and device.
        evaluate: ``full`` (all mutants) or ``lazy`` (only mutants that can change a verdict; same verdicts); default:
            full, and lazy for a refined defender.
        store: folder of mutant labels, shared by defenders, or ``last`` for that of the newest earlier run; default: in
            the run folder.
        table: folder of stored mutant labels to decide on, without model and images.
        token_budget: token budget per batch; default: derived from free device memory.
        examples: number of images, or image ids, to return with their verdicts.
        numerics: ``numerics.json`` of an audit of the same weights, recorded in results.
        reported: published accuracies by name, recorded in results.
    """

    defender: Defender[Any] | str = "mrcert"
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    batch_size: int = 8
    evaluate: str | None = None
    store: str | Path | None = None
    table: Path | None = None
    token_budget: int | None = None
    examples: int | Sequence[int] = 0
    numerics: Path | None = None
    reported: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("batch_size", self.batch_size, 1)
        check_number("token_budget", self.token_budget, 1, optional=True)
        check_store(self.store)
        if self.evaluate is not None:
            check_choice("evaluation (evaluate=)", self.evaluate, list(LEVELS))
        if isinstance(self.examples, int):
            check_number("examples", self.examples, 0)
        elif isinstance(self.examples, str) or not isinstance(self.examples, Sequence):
            raise ConfigurationError(
                f"examples must be a number of images or a list of their ids, got {self.examples!r}"
            )
        check_mapping("reported", self.reported)
        known = tuple(dict.fromkeys((*ACCURACIES, ADVERSARIAL, *DETECTIONS, HARMFUL_ALERTS)))
        if wrong := [name for name in self.reported if name not in known]:
            raise unknown("accuracy (reported=)", wrong[0], known)
        for name, value in self.reported.items():
            check_number(f"reported.{name}", value, 0, whole=False, optional=True, at_most=1)

    @property
    def mode(self) -> str:
        """``full`` or ``lazy``."""
        return self.evaluate or ("lazy" if isinstance(self.defender, Refined) else "full")

    def check_examples(self, ids: Collection[int]) -> None:
        """Check that the requested images are among those to evaluate.

        Raises:
            ConfigurationError: for other ids.
        """
        if not isinstance(self.examples, int) and (missing := sorted(set(self.examples) - set(ids))):
            raise ConfigurationError(
                f"examples= names images that are not evaluated: {missing}; verdicts.parquet of an earlier run lists "
                "the ids, and a number instead of a list draws that many"
            )

    def deltas(self, weights_sha256: str) -> Mapping[str, float] | None:
        """Return the spread of logits that an audit of the same weights measured, by precision.

        Raises:
            ResultsError: if the audit cannot be read or is about other weights.
        """
        return None if self.numerics is None else read_deltas(self.numerics, weights_sha256)


@dataclass(frozen=True)
class Evaluation:
    """Result of :func:`mrcert_pl.evaluate`, the same on every process.

    Attributes:
        result: accuracies and facts about their measurement; ``results.json`` in the folder.
        rows: one verdict per image; ``verdicts.parquet`` in the folder.
        locations: numbers of images by location of the patch; ``locations.npz``, if the defender has a map.
        folder: folder of the run.
        tables: folder of the mutant labels.
        classes: names of the classes.
        examples: the requested images with their verdicts.
        defences: the same beside the originals, for an attacked set.
    """

    result: EvaluationResult
    rows: Sequence[VerdictRow]
    locations: Locations | None
    folder: Path
    tables: Path
    classes: Sequence[str]
    examples: Sequence[Example] = ()
    defences: Sequence[DefenceExample] = ()
