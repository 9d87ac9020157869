"""The rules for unions of masks, in NumPy (docs/theory.md, sections 3, 4, 8 and 9).

``mutants`` are the plain values that identify the mutants.
``labels`` and ``margins`` are ``[image, mutant]``; ``p(U)`` is the label of the mutant that hides the union ``U``.
Answers are dicts from the names of verdict columns to arrays ``[image]``, or ``[image, mask]`` for ``safe_masks``.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from mrcert_pl.errors import ResultsError

Answers = dict[str, Any]

_MOST_UNIONS, _MOST_MASKS = 500_000, 64


class Unions:
    """The distinct unions of up to ``order`` masks, by the smallest number of masks that make them.

    Args:
        masks: bitsets over the windows.
        order: largest number of masks in a union.
    """

    def __init__(self, masks: Sequence[int], order: int) -> None:
        if not 0 <= order <= _MOST_MASKS:
            raise ResultsError(f"unions of {order} masks are stated; at most {_MOST_MASKS} are compared")
        self.unions, self.sizes = [0], [1]
        column = {0: 0}
        for _ in range(order):
            for union in list(self.unions):
                if len(column) > _MOST_UNIONS:
                    raise ResultsError(f"{len(masks)} masks have more than {_MOST_UNIONS:,} unions of order {order}")
                for mask in masks:
                    if union | mask not in column:
                        column[union | mask] = len(self.unions)
                        self.unions.append(union | mask)
            self.sizes.append(len(self.unions))
        self._column = column
        self._joins: dict[tuple[int, int], np.ndarray] = {}
        self._insides: dict[tuple[int, int], np.ndarray] = {}

    def join(self, left: int, right: int) -> np.ndarray:
        """Columns of ``S | T``, ``[S, T]``, for all ``S`` of up to ``left`` masks and ``T`` of up to ``right``."""
        if (left, right) not in self._joins:
            first, second = (self.unions[: self.sizes[order]] for order in (left, right))
            self._joins[left, right] = np.array([[self._column[s | t] for t in second] for s in first])
        return self._joins[left, right]

    def inside(self, left: int, right: int) -> np.ndarray:
        """``[R, S]``: whether ``S`` of up to ``right`` masks hides all of ``R`` of up to ``left``."""
        if (left, right) not in self._insides:
            locations, hiding = (self._bits(self.sizes[order]) for order in (left, right))
            self._insides[left, right] = locations @ (1 - hiding).T == 0
        return self._insides[left, right]

    def _bits(self, size: int) -> np.ndarray:
        """``[union, window]``: 1 for the windows that each of the first unions hides."""
        width = max(1, max(self.unions).bit_length())
        digits = [[union >> window & 1 for window in range(width)] for union in self.unions[:size]]
        return np.array(digits, dtype=np.float32)

    def order(self, columns: np.ndarray) -> np.ndarray:
        """The smallest number of masks that make each union."""
        return np.searchsorted(self.sizes, columns, side="right")


def undefended(mutants: Mapping[str, Any], labels: np.ndarray, margins: np.ndarray) -> Answers:
    """The label of the unmasked image, and no certificate."""
    none = np.zeros(len(labels), dtype=bool)
    return {
        "prediction": labels[:, 0],
        "case": 1 + 0 * labels[:, 0],
        "witness": -1 + 0 * labels[:, 0],
        "certified": none,
        "round_trip": none,
        "certified_patches": 0 * labels[:, 0],
        "level": 0 * labels[:, 0],
    }


def patchcure(
    mutants: Mapping[str, Any],
    labels: np.ndarray,
    margins: np.ndarray,
    reference: str = "original",
    certificate: str = "sharp",
    margin: float = 0.0,
) -> Answers:
    """Double masking; the ``reference`` is the label of the unmasked image or the majority of one mask."""
    _check("certificate", certificate, ("paper", "sharp"))
    _check("reference", reference, ("original", "majority"))
    unions = _unions(mutants, 2)
    ones = np.arange(1, unions.sizes[1])
    expected = labels[:, 0]
    if reference == "majority":
        expected = np.array([np.bincount(row).argmax() for row in labels[:, ones]])
    agree = (labels[:, ones] == expected[:, None]).all(1)
    alone = labels[:, ones]
    recovered = (alone != expected[:, None]) & (labels[:, unions.join(1, 1)[1:, 1:]] == alone[:, :, None]).all(2)
    found, first = recovered.any(1), 1 + recovered.argmax(1)
    prediction = np.where(agree | ~found, expected, labels[np.arange(len(labels)), first])
    entries = slice(0 if certificate == "paper" else 1, unions.sizes[2])
    certified = (labels[:, entries] == labels[:, 1:2]).all(1)
    if margin:
        certified &= (margins[:, entries] > margin).all(1)
    return {
        "prediction": prediction,
        "case": np.where(agree, 1, np.where(found, 2, 3)),
        "witness": np.where(agree, 0 if reference == "original" else -1, np.where(found, first, -1)),
        "level": (agree | found).astype(int),
        "certified": certified,
        "round_trip": np.zeros(len(labels), dtype=bool),
        "certified_patches": certified.astype(int),
    }


def mrcert(
    mutants: Mapping[str, Any],
    labels: np.ndarray,
    margins: np.ndarray,
    patches: int = 2,
    certificate: str = "paper",
    margin: float = 0.0,
) -> Answers:
    """MRCert for any number of patches, with the certificate ``paper`` or ``sharp``."""
    _check("certificate", certificate, ("paper", "sharp"))
    unions, n = _unions(mutants, 2 * patches), patches
    witnesses = _stable(unions, labels, n, n)
    found, first = witnesses.any(1), witnesses.argmax(1)
    answers: Answers = {
        "prediction": labels[np.arange(len(labels)), np.where(found, first, 0)],
        "case": np.where(found, unions.order(first) + 1, n + 2),
        "witness": np.where(found, first, -1),
        "level": np.where(found, n, 0),
    }
    one, two = (margins > claim for claim in (margin, 2 * margin)) if margin else (None, None)
    if certificate == "paper":
        witness = _stable(unions, labels, n, n, one).any(1)
        certified = _stable(unions, labels, n - 1, n + 1, one).any(1)
        round_trip = _stable(unions, labels, 0, 2 * n, two)[:, 0] & (n > 1)
        patched = np.where(round_trip, n, np.where(certified, 1, np.where(witness, 0, -1)))
        answers |= {"certified": certified, "round_trip": round_trip, "certified_patches": patched}
        return answers
    inside = unions.inside(n, n)
    safe, twice = ((_stable(unions, labels, n, n, counts)[:, None] & inside).any(2) for counts in (one, two))
    return answers | _certificates(unions, safe, twice, n)


def cascade(
    mutants: Mapping[str, Any], labels: np.ndarray, margins: np.ndarray, patches: int = 2, margin: float = 0.0
) -> Answers:
    """MRCert for ``patches`` patches; without a witness, for one patch fewer, and so on down to one."""
    unions, n = _unions(mutants, 2 * patches), patches
    level = np.zeros(len(labels), dtype=int)
    witness = np.full(len(labels), -1)
    for lower in range(n, 0, -1):
        stable = _stable(unions, labels, lower, lower)
        here = (level == 0) & stable.any(1)
        level[here], witness[here] = lower, stable.argmax(1)[here]
    label = labels[np.arange(len(labels)), np.maximum(witness, 0)]
    safe = _held(unions, labels, label, level, margins > margin if margin else np.ones_like(labels, dtype=bool), n)
    twice = _held(unions, labels, label, level, margins > 2 * margin, n) if margin else safe
    answers: Answers = {"prediction": label, "case": n + 1 - level, "witness": witness, "level": level}
    return answers | _certificates(unions, safe, twice, n)


mrcert_sharp = partial(mrcert, certificate="sharp")
patchcure_paper = partial(patchcure, certificate="paper")


def _unions(mutants: Mapping[str, Any], order: int) -> Unions:
    return _cached(tuple(int(mask, 16) for mask in mutants["masks"]), order)


@lru_cache(maxsize=8)
def _cached(masks: tuple[int, ...], order: int) -> Unions:
    return Unions(masks, order)


def _check(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ResultsError(f"unknown {what} {value!r}; the second implementation has {', '.join(known)}")


def _stable(unions: Unions, labels: np.ndarray, left: int, right: int, counts: np.ndarray | None = None) -> np.ndarray:
    """``[image, S]``: ``p(S | T) = p(S)`` for all ``T``, all of them entries that count."""
    join = unions.join(left, right)
    stable = (labels[:, join] == labels[:, join[:, :1]]).all(2)
    return stable if counts is None else stable & counts[:, join].all(2)


def _held(
    unions: Unions, labels: np.ndarray, label: np.ndarray, level: np.ndarray, counts: np.ndarray, patches: int
) -> np.ndarray:
    """``[image, R]``: a level keeps the label around ``R`` before one can be forged under ``R`` (Definition 9)."""
    hides = unions.inside(patches, 2 * patches)
    # Of each entry the locations that it hides, eight to a byte.
    packed = np.packbits(hides.T, axis=1)
    held = np.zeros((len(labels), len(hides)), dtype=bool)
    decided = np.repeat((level == 0)[:, None], len(hides), axis=1)
    for lower in range(patches, 0, -1):
        join = unions.join(lower, lower)
        around = hides[:, : len(join)].astype(np.float32)
        for image in np.flatnonzero(~decided.all(1)):
            counted = np.where(counts[image], labels[image], -1)
            keeps = (counted == label[image])[join].all(1)
            held[image] |= ~decided[image] & (around @ keeps > 0)
            decided[image] |= held[image]
            if not decided[image].all():
                decided[image] |= _forged(counted, int(label[image]), join, packed, len(hides))
    return held


def _forged(counted: np.ndarray, label: int, join: np.ndarray, packed: np.ndarray, locations: int) -> np.ndarray:
    """``[R]``: whether some ``S`` has no fixed entries, or only such of one label other than the image's.

    Args:
        counted: label of each entry, -1 where it doesn't count.
        label: the label of the image.
        join: columns ``[S, T]``.
        packed: locations that each entry hides, packed.
        locations: number of locations.
    """
    good, once, twice = (np.zeros((len(join), packed.shape[1]), dtype=np.uint8) for _ in range(3))
    for other in np.unique(counted[np.unique(join)]):
        if other < 0:
            continue
        marked = np.where((counted == other)[:, None], packed, np.uint8(0))
        seen = np.stack([np.bitwise_or.reduce(marked[columns], axis=0) for columns in join])
        if other == label:
            good = seen
        else:
            twice |= once & seen
            once |= seen
    return np.unpackbits(np.bitwise_or.reduce(~(good | twice), axis=0), count=locations).astype(bool)


def _certificates(unions: Unions, safe: np.ndarray, twice: np.ndarray, patches: int) -> Answers:
    """What follows from where an image is safe, with the margin and with twice as much."""

    def withstood(places: np.ndarray) -> np.ndarray:
        return np.stack([places[:, : unions.sizes[r]].all(1) for r in range(patches + 1)]).cumprod(0).sum(0) - 1

    patched = withstood(safe)
    return {
        "certified": patched >= 1,
        "round_trip": withstood(twice) >= 2,
        "certified_patches": patched,
        "safe_masks": safe[:, 1 : unions.sizes[1]],
    }
