"""The rules of certified detection in NumPy, from their definitions (docs/theory.md, section 14)."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mrcert_pl.verification.masks import Unions

# May an entry of this confidence raise an alert: if it dissents, if it agrees?
Condition = Callable[[np.ndarray, float], np.ndarray]
# Log-odds are float32 in both runs: what this takes of a number at most, with room for double precision.
_ROUNDING = 2.0**-22


def patchcensor(
    mutants: Mapping[str, Any], labels: np.ndarray, margins: np.ndarray, *, at_once: int = 1, margin: float = 0.0
) -> dict[str, np.ndarray]:
    """One-mask agreement."""
    odds = np.zeros(labels.shape)
    return _detected(mutants, labels, margins, odds, at_once, margin, _always, _never)


def hicert(
    mutants: Mapping[str, Any],
    labels: np.ndarray,
    margins: np.ndarray,
    log_odds: np.ndarray,
    *,
    threshold: float = 0.8,
    at_once: int = 1,
    margin: float = 0.0,
) -> dict[str, np.ndarray]:
    """HiCert: entries without confidence raise an alert too."""
    bound = _log_odds_of(threshold)

    def doubtful(odds: np.ndarray, away: float) -> np.ndarray:
        return odds < bound - _distance(odds, bound, away)

    return _detected(mutants, labels, margins, log_odds, at_once, margin, _always, doubtful)


def patchguardpp(
    mutants: Mapping[str, Any],
    labels: np.ndarray,
    margins: np.ndarray,
    log_odds: np.ndarray,
    *,
    threshold: float = 0.8,
    at_once: int = 1,
    margin: float = 0.0,
) -> dict[str, np.ndarray]:
    """PatchGuard++: only entries with confidence raise an alert."""
    bound = _log_odds_of(threshold)

    def confident(odds: np.ndarray, away: float) -> np.ndarray:
        return odds > bound + _distance(odds, bound, away)

    return _detected(mutants, labels, margins, log_odds, at_once, margin, confident, _never)


def _detected(
    mutants: Mapping[str, Any],
    labels: np.ndarray,
    margins: np.ndarray,
    odds: np.ndarray,
    at_once: int,
    margin: float,
    dissenting: Condition,
    agreeing: Condition,
) -> dict[str, np.ndarray]:
    unions = Unions([int(mask, 16) for mask in mutants["masks"]], at_once).unions
    largest = [i for i, one in enumerate(unions) if not any(one != other and one & other == one for other in unions)]
    if np.isnan(odds[:, largest]).any():
        raise ValueError("its tables have no confidences")
    n = len(labels)
    alert, detects = np.full(n, -1), np.full(n, -1)
    for image in range(n):
        base = labels[image, 0]
        # Labels that a harmful attack could have silently, with the patches under one of the largest unions.
        for column in largest:
            entry = odds[image, column : column + 1]
            raises = (dissenting if labels[image, column] != base else agreeing)(entry, 0.0)[0]
            if raises and alert[image] < 0:
                alert[image] = column
        found = {_promised(labels, margins, odds, image, column, margin, dissenting, agreeing) for column in largest}
        bound = found - {-2}
        if not bound:
            detects[image] = -2
        elif len(bound) == 1:
            detects[image] = bound.pop()
    no = np.zeros(n, dtype=bool)
    return {
        "prediction": labels[:, 0],
        "case": np.where(alert >= 0, 2, 1),
        "witness": np.full(n, -1),
        "certified": no,
        "round_trip": no,
        "level": np.zeros(n, dtype=int),
        "alert": alert,
        "detects": detects,
    }


def _promised(
    labels: np.ndarray,
    margins: np.ndarray,
    odds: np.ndarray,
    image: int,
    column: int,
    margin: float,
    dissenting: Condition,
    agreeing: Condition,
) -> int:
    """The one label that stays possible without an alert from this entry; -2 if none does, -1 if more than one does."""
    entry = odds[image, column : column + 1]
    if not dissenting(entry, margin)[0]:
        return -1
    if agreeing(entry, margin)[0]:
        return -2
    known = margin == 0 or margins[image, column] > margin
    return int(labels[image, column]) if known else -1


def _always(odds: np.ndarray, away: float) -> np.ndarray:
    return np.ones(odds.shape, dtype=bool)


def _never(odds: np.ndarray, away: float) -> np.ndarray:
    return np.zeros(odds.shape, dtype=bool)


def _distance(odds: np.ndarray, bound: float, away: float) -> np.ndarray:
    """How far from the bound a comparison holds in every other run; infinite numbers are not rounded."""
    sizes = np.where(np.isinf(odds), 0.0, np.abs(odds)) + (0.0 if math.isinf(bound) else abs(bound))
    return np.where(away > 0, away + _ROUNDING * sizes, 0.0)


def _log_odds_of(threshold: float) -> float:
    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold {threshold} is no confidence")
    if threshold == 1:
        return math.inf
    # The last bit decides where a confidence equals the threshold, so this is the formula of the theory as it stands.
    return math.log(threshold / (1 - threshold)) if threshold else -math.inf
