"""Result of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mrcert_pl.plain import FieldError
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Amount, Count, Settings
from mrcert_pl.results.schema.common import Accuracy, MutantFacts, RunDocument

ADVERSARIAL = "adversarial_certified"
OF_HARMFUL = (ADVERSARIAL, "harmful_alerts")
"""Accuracies of attacked images, relative to those that the base model misclassifies."""


@dataclass(frozen=True)
class EvaluationResult(RunDocument):
    """``results.json`` of an evaluation.

    Attributes:
        weights_sha256: Digest of the weights.
        defender: Name of the defender.
        defender_settings: Settings of the defender.
        round_trip_note: Why the defender certifies no round trip; ``None`` if it does.
        n: Number of images.
        accuracy: Accuracies by name.
        mutants: Mutants of the defender.
        mutants_per_image: Mean number of evaluated mutants.
        gflops_per_image: Mean operations in 10^9; ``None`` where the model does not count them.
        limit_reached: Number of images whose certificates ``refine_limit`` left open; ``None`` without a limit.
        table: Folder of the stored tables.
        margin: Margin of the certificates.
        delta: Largest difference of logits by precision that the margin was chosen by.
        seconds: Duration in seconds.
    """

    KIND = "evaluation"
    COMMAND = "mrcert eval"

    weights_sha256: str
    defender: str
    n: Count
    accuracy: Mapping[str, Accuracy]
    mutants_per_image: Amount
    defender_settings: Settings = field(default_factory=dict)
    round_trip_note: str | None = None
    mutants: MutantFacts | None = None
    gflops_per_image: Amount | None = None
    limit_reached: Count | None = None
    table: str | None = None
    margin: Amount | None = None
    delta: Mapping[str, Amount] | None = None
    seconds: Amount | None = None

    def __post_init__(self) -> None:
        for name, accuracy in self.accuracy.items():
            if accuracy.n > self.n or (accuracy.n < self.n and name not in OF_HARMFUL):
                raise FieldError(f"accuracy.{name}.n", f"must be n = {self.n}, got {accuracy.n}")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed alone."""
        return (self.seed,)

    upgrade = staticmethod(upgrade.evaluation)
