"""The second implementation of detection, against an enumeration of every label and log-odds within the margin."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from mrcert_pl.geometry import UnionLattice
from mrcert_pl.verification.detection import hicert, patchcensor, patchguardpp

MASKS, WINDOWS, CLASSES, IMAGES = (0b0001, 0b0011, 0b0100, 0b1000), 4, 3, 400
Alert = Callable[[bool, float], bool]
# From "the entry dissents" and its log-odds to "it raises an alert"; the threshold 0.5 has log-odds of 0.
RULES: dict[str, tuple[Callable[..., dict[str, np.ndarray]], Alert]] = {
    "patchcensor": (patchcensor, lambda dissents, odds: dissents),
    "hicert": (partial(hicert, threshold=0.5), lambda dissents, odds: dissents or odds < 0),
    "patchguardpp": (partial(patchguardpp, threshold=0.5), lambda dissents, odds: dissents and odds > 0),
}
MUTANTS = {"masks": [f"{mask:x}" for mask in MASKS]}


def tables(width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, margins and log-odds; both of these often equal to a threshold, to 0 or to the margin of 0.25."""
    draws = np.random.default_rng(width)
    labels = np.where(draws.random((IMAGES, width)) < 0.8, 1, draws.integers(CLASSES, size=(IMAGES, width)))
    margins = draws.choice([0.5, 0.25, 0.0], p=[0.9, 0.05, 0.05], size=labels.shape)
    # Images with high, with low and with mixed confidences.
    odds = draws.choice([-0.5, -0.25, 0.0, 0.25, 0.5], size=labels.shape)
    odds[: IMAGES // 4], odds[IMAGES // 4 : IMAGES // 2] = 0.5, -0.5
    return labels, margins, odds


def silent(alert: Alert, label: int, top_two: float, odds: float, margin: float) -> set[int]:
    """Labels of the whole image that one entry may leave without an alert, if all its values move by the margin."""
    others = range(CLASSES + 1) if margin and top_two <= margin else [label]
    moved = (odds - margin, odds, odds + margin)
    return {base for base in range(CLASSES + 1) for seen in others for o in moved if not alert(seen != base, o)}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("margin", [0.0, 0.25])
@pytest.mark.parametrize("at_once", [1, 2])
def test_alerts_and_certificates(name: str, margin: float, at_once: int) -> None:
    rule, alert = RULES[name]
    unions = UnionLattice(MASKS, WINDOWS, at_once, allow_blind=True).unions
    maximal = [c for c, one in enumerate(unions) if not any(one != other and one & ~other == 0 for other in unions)]
    labels, margins, odds = tables(len(unions))
    given = (labels, margins) if name == "patchcensor" else (labels, margins, odds)
    answers = rule(MUTANTS, *given, at_once=at_once, margin=margin)
    for image in range(IMAGES):
        raised = [c for c in maximal if alert(bool(labels[image, c] != labels[image, 0]), odds[image, c])]
        assert answers["alert"][image] == (raised[0] if raised else -1)
        possible: set[int] = set()
        for c in maximal:
            possible |= silent(alert, int(labels[image, c]), margins[image, c], odds[image, c], margin)
        assert answers["detects"][image] == (-2 if not possible else min(possible) if len(possible) == 1 else -1)
    np.testing.assert_array_equal(answers["prediction"], labels[:, 0])
    np.testing.assert_array_equal(answers["case"], 1 + (answers["alert"] >= 0))
    assert set(answers["witness"]) == {-1}
    assert not any(answers[column].any() for column in ("certified", "round_trip", "level"))
    # No image of PatchCensor and PatchGuard++ is certified for every label: an entry that agrees is silent.
    assert {-1, 1} | ({-2} if name == "hicert" else set()) <= set(answers["detects"].tolist())


@pytest.mark.parametrize("name", ["hicert", "patchguardpp"])
def test_the_default_threshold_is_a_confidence_of_80_percent_of_one_patch(name: str) -> None:
    rule = {"hicert": hicert, "patchguardpp": patchguardpp}[name]
    width = len(UnionLattice(MASKS, WINDOWS, 1, allow_blind=True).unions)
    base = np.ones((2, width), dtype=int)
    labels = base if name == "hicert" else np.where(np.arange(width) == 0, 0, base)
    # An odds of 4 is a confidence of 0.8.
    odds = np.array([[math.log(4) - 0.01], [math.log(4) + 0.01]]).repeat(width, axis=1)
    raised = rule(MUTANTS, labels, np.ones(labels.shape), odds)["alert"] >= 0
    assert raised.tolist() == ([True, False] if name == "hicert" else [False, True])


@pytest.mark.parametrize("rule", [hicert, patchguardpp])
def test_confidences_and_thresholds_are_checked(rule: Callable[..., Any]) -> None:
    width = len(UnionLattice(MASKS, WINDOWS, 1, allow_blind=True).unions)
    labels, margins = np.ones((1, width), dtype=int), np.ones((1, width))
    odds = np.zeros((1, width))
    odds[0, 0] = math.nan
    for threshold in (0, 1):
        rule(MUTANTS, labels, margins, odds, threshold=threshold)
    for threshold in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=f"the threshold {threshold} is no confidence"):
            rule(MUTANTS, labels, margins, odds, threshold=threshold)
    odds[0, -1] = math.nan
    with pytest.raises(ValueError, match="its tables have no confidences"):
        rule(MUTANTS, labels, margins, odds)
