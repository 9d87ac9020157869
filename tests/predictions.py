"""Verdicts of the guard, without a model."""

from dataclasses import replace
from typing import Any

from mrcert_pl.guard.verdict import GuardVerdict
from mrcert_pl.results.predictions import Prediction

VERDICT = GuardVerdict(
    image="photos/a.jpg",
    label=3,
    name="crane [bird]",
    decision="recovered",
    certified=True,
    certified_patches=1,
    round_trip=False,
    case=2,
    witness=(3, 4, 5, 9),
    witness_px=None,
    certified_fraction=1.0,
    margin=None,
    base_label=3,
    base_name="crane [bird]",
    mutants_evaluated=90,
    seconds=0.25,
    meaning=None,
)
BROKEN = Prediction("photos/b [1].jpg", error="photos/b [1].jpg is empty")


def prediction(image: str = "photos/a.jpg", **changes: Any) -> Prediction:
    """A prediction with a verdict."""
    return Prediction(image, replace(VERDICT, image=image, **changes))
