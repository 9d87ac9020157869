"""Second implementations of defenders, applied to whole and to partial tables."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mrcert_pl.defenders.registry import Rule
from mrcert_pl.errors import ResultsError

BoundRule = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, Any]]
"""From labels, margins and log-odds of the confidences, each ``[image, mutant]``, to columns of the verdicts."""

DETECTORS = ("hicert", "patchcensor", "patchguardpp")
NO_ROUND_TRIP = ("undefended", "patchcure", "patchcure_paper", *DETECTORS)

# A table that was filled lazily must give the same verdict for any missing entries; they are drawn this many times.
_DRAWS = 2
_LARGEST = sys.float_info.max
_MISSING = -1
# Labels of one image that its missing entries get in turn; more would let a small file ask for hours.
_MOST_LABELS = 256


def defaults(rule: Rule) -> dict[str, Any]:
    """Settings of a rule with their default values."""
    parameters = inspect.signature(rule).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def order(defender: str, settings: Mapping[str, Any], stated: int) -> int:
    """Return the largest number of masks in a union: by the rule of a defender of the package, else the stated one."""
    if defender in DETECTORS:
        return settings.get("at_once", 1)
    if defender in ("mrcert", "mrcert_sharp", "mrcert_cascade"):
        return 2 * settings.get("patches", 2)
    return {"undefended": 0, "patchcure": 2, "patchcure_paper": 2}.get(defender, stated)


def bound(rule: Rule, mutants: Mapping[str, Any], settings: Mapping[str, Any], defender: str) -> BoundRule:
    """Return the rule for given mutants, with settings of checked names and types.

    Raises:
        ResultsError: for settings that the rule doesn't have or doesn't admit.
    """
    known = defaults(rule)
    for name, value in settings.items():
        kinds = (int, float) if type(known.get(name)) is float else (type(known.get(name)),)
        # A whole number may be beyond every float.
        if name not in known or type(value) not in kinds or (float in kinds and abs(value) > _LARGEST):
            raise ResultsError(f"the result has {name}={value!r} for {defender}, which its second implementation lacks")

    confident = "log_odds" in inspect.signature(rule).parameters

    def decide(labels: np.ndarray, margins: np.ndarray, log_odds: np.ndarray) -> dict[str, Any]:
        try:
            return rule(mutants, labels, margins, *([log_odds] if confident else []), **settings)
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            raise ResultsError(
                f"the settings {dict(settings)} of {defender} don't fit the mutants of its tables ({error})"
            ) from error

    return decide


def completions(
    labels: np.ndarray, margins: np.ndarray, draws: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the tables with their missing entries (-1) filled in several ways, or as they are if none is missing.

    A rule asks for sets of entries that agree on the same label: those that keep one label against an attacker, those
    that could have been forged for another label, the votes of a rival. All missing entries of an image with one label
    support it wherever it can be supported, and contradict all others. So every label of the image in turn, and one
    that it does not have, are the extremes of what the missing entries can do.

    Args:
        labels: ``[image, mutant]``, -1 where an entry is missing.
        margins: ``[image, mutant]``.
        draws: Source of the random completions.

    Raises:
        ResultsError: for an image with missing entries that has more labels than are tried.
    """
    missing = labels < 0
    if not missing.any():
        yield labels, margins
        return
    other = int(labels.max()) + 1
    infinite = np.where(missing, np.inf, margins)
    for label in _in_turn(np.where(missing.any(1, keepdims=True), labels, _MISSING), other):
        yield np.where(missing, label[:, None], labels), infinite
    # The same as the unmasked image, but not trusted; and labels at random, some of them with a margin of 0.
    yield np.where(missing, labels[:, :1], labels), np.where(missing, 0.0, margins)
    for _ in range(_DRAWS):
        drawn = np.where(draws.random(missing.shape) < 0.5, np.inf, 0.0)
        yield (
            np.where(missing, draws.integers(other + 1, size=missing.shape), labels),
            np.where(missing, drawn, margins),
        )


def _in_turn(labels: np.ndarray, other: int) -> np.ndarray:
    """``[turn, image]``: each label of an image once, then ``other``."""
    present = [[label for label in dict.fromkeys(row.tolist()) if label != _MISSING] for row in labels]
    if (most := max(map(len, present))) > _MOST_LABELS:
        raise ResultsError(
            f"the tables have an image with missing entries and {most} labels; {_MOST_LABELS} are tried; "
            "verify a full evaluation (evaluate=full)"
        )
    turns = most + 1
    return np.array([[*row, *[other] * (turns - len(row))] for row in present]).T
