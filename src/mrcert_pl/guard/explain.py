"""From a table and a defender's verdicts to the guard's verdicts: witness, safe locations, margin, meaning."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from mrcert_pl.defenders import ANY_LABEL, Verdicts
from mrcert_pl.geometry import Borders, PatchSpec, UnionLattice, certified_fraction, hidden_boxes, location_maps
from mrcert_pl.guard.policy import Policy
from mrcert_pl.guard.verdict import Box, GuardVerdict, meaning_of, meaning_of_silence
from mrcert_pl.mutants import PredictionTable


@runtime_checkable
class WindowGeometry(Protocol):
    """The part of a base model that this module reads."""

    @property
    def image_px(self) -> tuple[int, int]:
        """``(height, width)`` of the images."""
        ...


def guard_verdicts(
    table: PredictionTable[Any],
    verdicts: Verdicts,
    evaluated: Sequence[int],
    model: WindowGeometry,
    patch: PatchSpec,
    policy: Policy,
    class_names: Sequence[str],
    names: Sequence[str],
    seconds: float,
) -> list[GuardVerdict]:
    """Describe a defender's verdicts.

    Args:
        table: Labels of the mutants that the verdicts refer to.
        verdicts: Verdicts of a defender on this table.
        evaluated: Number of mutants that were evaluated for each image.
        model: The base model; only its geometry is read.
        patch: The patch that the defender defends against.
        policy: From certificates to decisions.
        class_names: Names of the labels.
        names: Names of the images.
        seconds: Seconds per image.
    """
    maps: tuple[Tensor, ...] = ()
    fractions: list[float] | None = None
    if verdicts.safe_masks is not None:
        safe: Any = verdicts.safe_masks.cpu()
        maps = location_maps(safe, table.mutants.masks, _borders(model), patch)
        fractions = certified_fraction(maps).tolist()

    def value(name: str, row: int) -> Any:
        values = getattr(verdicts, name)
        return None if values is None else values[row].item()

    described = []
    for row, name in enumerate(names):
        label, base_label = value("label", row), int(table.labels[row, 0])
        certified, round_trip = value("certified", row), value("round_trip", row)
        patches = value("certified_patches", row)
        proven = 1 + bool(round_trip) if patches is None else patches
        witness, boxes = _witness(int(verdicts.witness[row]), table, model)
        decision = policy.decide(certified, round_trip, hides=bool(witness))
        meaning = meaning_of(proven, patch, model.image_px) if certified else None
        alert_px = None
        if verdicts.alert is not None:
            alert, detects = value("alert", row), value("detects", row)
            silent_for = None if detects is None else detects in (label, ANY_LABEL)
            decision = policy.decide_detection(alert >= 0, silent_for)
            _, alert_px = _witness(alert, table, model)
            if decision == "accept":
                meaning = meaning_of_silence(patch, model.image_px, table.mutants.order)
        described.append(
            GuardVerdict(
                image=name,
                label=label,
                name=class_names[label],
                decision=decision,
                certified=certified,
                certified_patches=patches,
                round_trip=round_trip,
                case=value("case", row),
                witness=witness,
                witness_px=boxes,
                certified_fraction=None if fractions is None else fractions[row],
                margin=_margin(row, table, verdicts),
                base_label=base_label,
                base_name=class_names[base_label],
                mutants_evaluated=evaluated[row],
                seconds=seconds,
                meaning=meaning,
                alert_px=alert_px,
                maps=tuple(shape[row] for shape in maps),
            )
        )
    return described


def _borders(model: Any) -> Borders:
    """Borders of the windows; only models with windows have witnesses and safe masks."""
    return model.borders


def _witness(
    column: int, table: PredictionTable[Any], model: WindowGeometry
) -> tuple[tuple[int, ...] | None, tuple[Box, ...] | None]:
    if column < 0:
        return None, None
    hidden = table.mutants.hidden[column]
    return tuple(hidden.nonzero()[:, 0].tolist()), tuple(hidden_boxes(hidden, _borders(model)))


def _margin(row: int, table: PredictionTable[Any], verdicts: Verdicts) -> float | None:
    # A label without a witness is that of the unmasked image, except for a majority of labels.
    column = max(int(verdicts.witness[row]), 0)
    if not isinstance(table.mutants, UnionLattice) or table.labels[row, column] != verdicts.label[row]:
        return None
    assert table.margins is not None
    return float(table.margins[row, column])
