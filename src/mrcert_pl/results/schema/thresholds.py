"""Result of a comparison of thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass

from mrcert_pl.plain import Record
from mrcert_pl.results.codec import Amount, Count, Fraction
from mrcert_pl.results.schema.common import Accuracy, RunDocument


@dataclass(frozen=True)
class ThresholdRow(Record):
    """Accuracies and cost of a defender with one threshold.

    Attributes:
        threshold: The threshold.
        accuracy: Accuracies by name.
        mutants_per_image: Mean number of mutants that this threshold queries.
    """

    threshold: Fraction
    accuracy: Mapping[str, Accuracy]
    mutants_per_image: Amount


@dataclass(frozen=True)
class ThresholdResult(RunDocument):
    """``thresholds.json``: thresholds of a defender, compared on validation images.

    Attributes:
        weights_sha256: Digest of the weights.
        defender: Name of the defender.
        n: Number of images.
        rows: The thresholds.
    """

    KIND = "thresholds"
    COMMAND = "mrcert thresholds"

    weights_sha256: str
    defender: str
    n: Count
    rows: tuple[ThresholdRow, ...]

    @property
    def best(self) -> ThresholdRow | None:
        """The row with most round trips, of these with most certified images, of these with fewest mutants.

        ``None`` for a detector, whose thresholds trade certificates against alerts.
        """
        if any("certified" not in row.accuracy for row in self.rows):
            return None
        return max(
            self.rows,
            key=lambda row: (row.accuracy["round_trip"].count, row.accuracy["certified"].count, -row.mutants_per_image),
        )
