"""The verdict on one image."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from mrcert_pl.plain import Record
from mrcert_pl.results.codec import Amount, Count, Fraction

ANY_LABEL = -2
"""In ``detects``: every patched version raises an alert, so the certificate holds for any label."""


@dataclass(frozen=True)
class VerdictRow(Record):
    """The verdict on one image, as ``verdicts.parquet`` holds it.

    Attributes:
        id: Id of the image in its data set.
        path: Path of the image below the folder of its data set.
        label: True label.
        base_prediction: Label by the base model.
        prediction: Label by the defender.
        case: Step of the rule that gave the label, from 1.
        witness: Mutant whose label was taken, -1 without one.
        certified: Whether no patch can change the label.
        round_trip: Whether, in addition, every patched version is certified.
        certified_patches: Largest number of patches that cannot change the label; -1 without a witness.
        level: Number of patches that the deciding rule is built for, 0 for a fallback.
        safe_masks: For each mask whether a patch under it leaves the label.
        certified_fraction: Fraction of the patch placements that leave the label.
        mutants_evaluated: Number of mutants evaluated.
        gflops: Floating-point operations in 10^9.
        alert: First mutant that raises the alert of a detector, -1 if none does; ``None`` for other defenders.
        detects: Label that a detector is certified for, -1 for none, -2 for any.
        limit_reached: Whether ``refine_limit`` ended the queries, so that certificates may be missing; ``None`` without
            a limit.
    """

    id: Count
    path: str
    label: Count
    base_prediction: Annotated[int, Field(ge=-1)]
    prediction: Count
    case: Annotated[int, Field(ge=1)]
    witness: Annotated[int, Field(ge=-1)]
    certified: bool
    round_trip: bool
    certified_patches: Annotated[int, Field(ge=-1)] | None = None
    level: Count | None = None
    safe_masks: tuple[bool, ...] | None = None
    certified_fraction: Fraction | None = None
    mutants_evaluated: Count = 0
    gflops: Amount | None = None
    alert: Annotated[int, Field(ge=-1)] | None = None
    detects: Annotated[int, Field(ge=-2)] | None = None
    limit_reached: bool | None = None

    @property
    def base_correct(self) -> bool:
        """Whether the base model classifies the image correctly."""
        return self.base_prediction == self.label

    @property
    def correct(self) -> bool:
        """Whether the defender classifies the image correctly."""
        return self.prediction == self.label

    @property
    def correct_and_certified(self) -> bool:
        """Whether the image counts for certified accuracy."""
        return self.correct and self.certified

    @property
    def detection_certified(self) -> bool:
        """Whether every patched version has the true label or an alert, by a detector."""
        return self.detects in (self.label, ANY_LABEL)

    @property
    def alerted(self) -> bool:
        """Whether a detector raises an alert."""
        return self.alert is not None and self.alert >= 0

    @property
    def correct_and_round_trip(self) -> bool:
        """Whether the image counts for round-trip certified accuracy."""
        return self.correct and self.round_trip
