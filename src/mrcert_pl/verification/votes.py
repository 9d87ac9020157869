"""The rules for votes over ablations, in NumPy and by single pixels (docs/theory.md, section 12)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from mrcert_pl.errors import ResultsError

Answers = dict[str, Any]

# Entries of an enumeration; the defenders have this limit too.
_MOST = 1 << 28


def vote(
    mutants: Mapping[str, Any],
    labels: np.ndarray,
    margins: np.ndarray,
    certificate: str = "paper",
    margin: float = 0.0,
) -> Answers:
    """The plurality, with the certificate ``paper`` or ``sharp``.

    Args:
        mutants: kind, width, stride and ``image_px`` of the ablations; ``patch_px``, height and width of every shape
            of the patch.
        labels: ``[image, mutant]``, those of the votes after that of the unablated image.
        margins: ``[image, mutant]``.
        certificate: the rule.
        margin: votes with a margin that is not larger are the attacker's, for two patches twice as large.
    """
    if certificate not in ("paper", "sharp"):
        raise ResultsError(f"unknown certificate {certificate!r}; the second implementation has paper, sharp")
    votes, margins = labels[:, 1:], margins[:, 1:]
    touched = touched_votes(mutants, mutants["patch_px"])
    # One label more than there are votes for: a rival without a vote.
    counts = np.stack([(votes == label).sum(1) for label in range(int(votes.max()) + 2)], axis=1)
    label = counts.argmax(1)
    holds = []
    for patches in (1, 2):
        free = margins <= patches * margin if margin else np.zeros_like(votes, dtype=bool)
        rule = _counted if certificate == "paper" else _placed
        holds.append(
            np.array([rule(touched, *row, patches) for row in zip(votes, free, label, strict=True)], dtype=bool)
        )
    certified, round_trip = holds
    return {
        "prediction": label,
        "case": np.ones_like(label),
        "witness": np.full_like(label, -1),
        "certified": certified,
        "round_trip": round_trip,
        "certified_patches": 1 * certified + round_trip,
    }


vote_sharp = partial(vote, certificate="sharp")


def touched_votes(ablations: Mapping[str, Any], shapes: Sequence[tuple[int, int]]) -> np.ndarray:
    """``[touched set, vote]``: the distinct sets of votes that a patch touches at some place.

    Raises:
        ResultsError: for more bands or sets than are enumerated.
    """
    numbers = [ablations[name] for name in ("width", "stride")]
    return _touched(ablations["ablations"], *numbers, tuple(ablations["image_px"]), tuple(map(tuple, shapes)))


@lru_cache(maxsize=4)
def _touched(
    kind: str, width: int, stride: int, image_px: tuple[int, int], shapes: tuple[tuple[int, int], ...]
) -> np.ndarray:
    rows, columns = (_bands(side, width, stride) for side in image_px)
    if kind == "block":
        _check_number("pixels of ablations", len(rows) * len(columns) * max(image_px))
    whole = {
        "rows": np.ones((len(columns), image_px[0]), bool),
        "columns": np.ones((len(rows), image_px[1]), bool),
    }
    shown = {
        "row": lambda: (rows, whole["columns"]),
        "column": lambda: (whole["rows"], columns),
        "both": lambda: (np.vstack([rows, whole["rows"]]), np.vstack([whole["columns"], columns])),
        "block": lambda: (np.repeat(rows, len(columns), axis=0), np.tile(columns, (len(rows), 1))),
    }[kind]()
    sets = set()
    for patch in shapes:
        along = []
        for pixels, size in zip(shown, patch, strict=True):
            starts = pixels.shape[1] - size + 1
            _check_number("sets of votes", starts * len(pixels))
            along.append(
                {tuple(np.asarray(pixels[:, start : start + size].any(1)).tolist()) for start in range(starts)}
            )
        _check_number("sets of votes", len(along[0]) * len(along[1]) * len(shown[0]))
        sets |= {tuple(r and c for r, c in zip(row, column, strict=True)) for row in along[0] for column in along[1]}
    return np.array(sorted(sets))


def _bands(side: int, width: int, stride: int) -> np.ndarray:
    """``[offset, px]``: which pixels each band shows."""
    offsets = np.arange(0, side, stride)
    _check_number("pixels of ablations", side * len(offsets))
    return np.asarray((np.arange(side)[None] - offsets[:, None]) % side < width)


def _check_number(what: str, number: int) -> None:
    if number > _MOST:
        raise ResultsError(f"the tables state ablations with {number:,} {what}; {_MOST:,} are enumerated")


def _counted(touched: np.ndarray, votes: np.ndarray, free: np.ndarray, label: int, patches: int) -> bool:
    """The lead exceeds twice the votes that the patches can touch."""
    counts = np.bincount(votes[~free], minlength=int(votes.max()) + 2)
    rivals = np.delete(counts, label)
    return bool(counts[label] - rivals.max() - free.sum() > 2 * patches * touched.sum(1).max())


def _placed(touched: np.ndarray, votes: np.ndarray, free: np.ndarray, label: int, patches: int) -> bool:
    """The label still wins wherever the patches are, when all votes that they touch go to one other label."""
    labels = int(votes.max()) + 2
    one_hot = (votes[:, None] == np.arange(labels)).astype(float)
    for sets in _places(touched, patches):
        taken = sets | free
        counts = ~taken @ one_hot
        rivals = counts + taken.sum(1)[:, None]
        # Among equals the smaller label wins.
        lost = rivals > counts[:, label, None] - (np.arange(labels) < label)
        lost[:, label] = False
        if lost.any():
            return False
    return True


def _places(touched: np.ndarray, patches: int) -> Any:
    """Yield the sets of votes that a number of patches touch together, in batches."""
    if patches == 1:
        yield touched
        return
    first, second = np.array(list(combinations_with_replacement(range(len(touched)), 2))).T
    for start in range(0, len(first), 4096):
        part = slice(start, start + 4096)
        yield touched[first[part]] | touched[second[part]]
