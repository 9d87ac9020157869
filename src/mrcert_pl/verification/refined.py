"""Labels of refined unions, in NumPy (docs/theory.md, section 15)."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from mrcert_pl.errors import ResultsError
from mrcert_pl.verification.masks import Unions

_MISSING = -1
# Pairs of unions that a header may ask to be compared.
_MOST_PAIRS = 1_000_000_000
# Log-odds are float32 in both runs: what this takes of a number at most, with room for double precision.
_ROUNDING = 2.0**-22


class RefinedColumns:
    """The columns of a table of refined unions, and for each union of the finest masks those of its closures.

    Args:
        levels: masks of every level as bitsets, coarsest first.
        order: largest number of masks in a union.

    Attributes:
        columns: number of columns.
        coarsest: whether each column is a union of the first level.
        path: columns of the closures of each union of the finest masks, level by level.

    Raises:
        ResultsError: if a mask lies in no mask of a coarser level, or the levels are too large.
    """

    def __init__(self, levels: Sequence[Sequence[int]], order: int) -> None:
        unions = [Unions(masks, order) for masks in levels]
        for masks in levels[:-1]:
            if any(all(mask & ~larger for larger in masks) for mask in levels[-1]):
                raise ResultsError("the tables state masks of several strides that do not lie inside each other")
        column: dict[int, int] = {}
        for size in range(order + 1):
            for level in unions:
                for union in level.unions[level.sizes[size - 1] if size else 0 : level.sizes[size]]:
                    if union not in column:
                        column[union] = len(column)
        self.columns = len(column)
        self.coarsest = np.zeros(len(column), dtype=bool)
        self.coarsest[[column[union] for union in unions[0].unions]] = True
        finest = unions[-1]
        if (pairs := len(finest.unions) * sum(len(level.unions) for level in unions[:-1])) > _MOST_PAIRS:
            raise ResultsError(f"the tables state levels with {pairs:,} pairs of unions; {_MOST_PAIRS:,} are compared")
        self.path = np.empty((len(finest.unions), len(levels)), dtype=np.int64)
        self.path[:, -1] = [column[union] for union in finest.unions]
        for number, level in enumerate(unions[:-1]):
            # By the number of hidden windows, then by the order of the columns: the sort is stable.
            ranked = sorted(range(len(level.unions)), key=[union.bit_count() for union in level.unions].__getitem__)
            bits, orders = [level.unions[c] for c in ranked], level.order(np.array(ranked))
            for size in range(order + 1):
                allowed = [union for union, o in zip(bits, orders, strict=True) if o <= size]
                for row in range(finest.sizes[size - 1] if size else 0, finest.sizes[size]):
                    inner = finest.unions[row]
                    self.path[row, number] = column[next(union for union in allowed if inner & ~union == 0)]


def refined_columns(mutants: Mapping[str, Any], order: int) -> RefinedColumns:
    """Return the columns of a header's refined unions."""
    levels = [*mutants["coarser"], mutants["masks"]]
    return _cached(tuple(tuple(int(mask, 16) for mask in masks) for masks in levels), order)


@lru_cache(maxsize=2)
def _cached(levels: tuple[tuple[int, ...], ...], order: int) -> RefinedColumns:
    return RefinedColumns(levels, order)


def resolve(
    columns: RefinedColumns,
    threshold: float,
    margin: float,
    labels: np.ndarray,
    margins: np.ndarray,
    log_odds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, margins and log-odds of the unions of the finest masks; -1 and NaN where a level is missing.

    Args:
        columns: columns of the tables.
        threshold: confidence from which a closure is settled.
        margin: margin of the certificates.
        labels: ``[image, column]``, and so are the others.
        margins: top-two margins.
        log_odds: log-odds of the confidences.

    Raises:
        ResultsError: for a label without a confidence.
    """
    if unknown := int((np.isnan(log_odds) & (labels >= 0)).sum()):
        raise ResultsError(f"{unknown} labels of the tables have no confidences, which refined labels are chosen by")
    limit = math.log(threshold / (1 - threshold))
    shape = (len(labels), len(columns.path))
    found, odds = np.full(shape, _MISSING, dtype=labels.dtype), np.full(shape, np.nan)
    least = np.full(shape, np.nan)
    for image in range(len(labels)):
        known = [(labels[image, c], margins[image, c], log_odds[image, c]) for c in columns.path.T]
        _resolve_image(known, limit, margin, found[image], least[image], odds[image])
    return found, least, odds


def _resolve_image(
    levels: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    limit: float,
    margin: float,
    found: np.ndarray,
    least: np.ndarray,
    odds: np.ndarray,
) -> None:
    """Fill one image, by groups of unions whose levels are decided alike."""
    last = len(levels) - 1
    waiting = np.arange(len(found))
    chosen = np.full(len(found), _MISSING)
    for level, (label, _, confidence) in enumerate(levels):
        waiting = waiting[label[waiting] >= 0]
        sure = np.ones(len(waiting), bool) if level == last else confidence[waiting] >= limit
        first = waiting[sure & (chosen[waiting] < 0)]
        chosen[first] = level
        done = sure if level == last else confidence[waiting] >= limit + 2 * margin
        for group in (waiting[done & (chosen[waiting] == by)] for by in range(level + 1)):
            if len(group):
                by = chosen[group[0]]
                found[group], odds[group] = levels[by][0][group], levels[by][2][group]
                least[group] = _half_down(_least_change(levels, level, group, found[group], limit))
        waiting = waiting[~done]


def _least_change(
    levels: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    reached: int,
    group: np.ndarray,
    label: np.ndarray,
    limit: float,
) -> np.ndarray:
    """The least change of margins and log-odds that may give another label."""
    changes, kept = [], np.zeros(len(group))
    for level in range(reached + 1):
        theirs, margins, confidence = (part[group] for part in levels[level])
        lead = np.where(theirs == label, margins.astype(np.float64), 0.0)
        slack = (np.where(np.isinf(confidence), 0.0, np.abs(confidence)) + abs(limit)) * _ROUNDING
        last = level == len(levels) - 1
        rise = 0.0 if last else np.maximum(limit - confidence - slack, 0.0)
        changes.append(np.maximum.reduce([kept, np.broadcast_to(rise, kept.shape), lead]))
        if not last:
            kept = np.maximum(kept, np.maximum(confidence - limit - slack, 0.0))
    if reached < len(levels) - 1:
        changes.append(kept)
    return np.minimum.reduce(changes)


def _half_down(values: np.ndarray) -> np.ndarray:
    """The largest number of half precision that is not above a value."""
    bounded = np.minimum(values, 65504.0)
    near = bounded.astype(np.float16)
    below = np.nextafter(near, np.float16(-np.inf))
    return np.where(near.astype(np.float64) > bounded, below, near).astype(np.float64)
