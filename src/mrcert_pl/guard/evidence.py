"""What stands behind a verdict: witness, safe places, margin."""

from dataclasses import dataclass, field
from typing import Any

from torch import BoolTensor

from mrcert_pl.defenders import Verdicts
from mrcert_pl.geometry import PatchSpec, UnionLattice, certified_fraction, hidden_boxes, location_maps
from mrcert_pl.mutants import PredictionTable

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Evidence:
    """Of one image, as plain values; what the defender doesn't give, or was not asked for, is ``None``.

    Attributes:
        witness: numbers of the windows, row by row, that had to be hidden before all further mutants agreed: where a
            patch may already be. Empty if nothing had to be; ``None`` if there is no witness.
        witness_px: the same as rectangles ``(top, left, bottom, right)`` in px, the last two exclusive.
        certified_fraction: share of the places of one further patch at which it can't change the label.
        margin: highest logit less the second highest, of the mutant that the label was taken from; ``None`` for a vote.
        maps: for each shape of the patch bool ``[top, left]``: places of its top left pixel where it has no effect.
    """

    witness: tuple[int, ...] | None
    witness_px: tuple[Box, ...] | None
    certified_fraction: float | None
    margin: float | None
    maps: tuple[BoolTensor, ...] = field(default=(), repr=False, compare=False)


def evidence(table: PredictionTable[Any], verdicts: Verdicts, model: Any, patch: PatchSpec) -> list[Evidence]:
    """What stands behind each verdict.

    Args:
        table: what is known of the mutants.
        verdicts: a defender's, on this table.
        model: the base model; only its geometry is read.
        patch: that the defender defends against.
    """
    maps: tuple[BoolTensor, ...] = ()
    fractions = None
    if verdicts.safe_masks is not None:
        safe: Any = verdicts.safe_masks
        maps = location_maps(safe.cpu(), table.mutants.masks, model.borders, patch)
        fractions = certified_fraction(maps).tolist()
    return [
        Evidence(
            *_witness(int(verdicts.witness[row]), table, model),
            certified_fraction=None if fractions is None else fractions[row],
            margin=_margin(row, table, verdicts),
            maps=tuple(each[row] for each in maps),  # type: ignore[misc]
        )
        for row in range(len(verdicts))
    ]


def _witness(
    column: int, table: PredictionTable[Any], model: Any
) -> tuple[tuple[int, ...] | None, tuple[Box, ...] | None]:
    if column < 0:
        return None, None
    hidden = table.mutants.hidden[column]
    return tuple(hidden.nonzero()[:, 0].tolist()), tuple(hidden_boxes(hidden, model.borders))


def _margin(row: int, table: PredictionTable[Any], verdicts: Verdicts) -> float | None:
    # A label without a witness is that of the unmasked image, unless a majority was asked.
    column = max(int(verdicts.witness[row]), 0)
    if not isinstance(table.mutants, UnionLattice) or table.labels[row, column] != verdicts.label[row]:
        return None
    assert table.margins is not None
    return float(table.margins[row, column])
