"""The labels of refined unions: that of the first closure that the model is sure of (docs/theory.md, section 15)."""

import torch
from jaxtyping import Float
from torch import Tensor

from mrcert_pl.geometry import UnionLattice
from mrcert_pl.geometry.refined import RefinedUnions
from mrcert_pl.mutants.confidence import float32_rounding, log_odds_of
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable, rounded_down


def refined(table: PredictionTable[RefinedUnions], margin: float = 0.0) -> PredictionTable[UnionLattice]:
    """Return the labels of the unions of the finest level (Definition 15), missing where a level is missing.

    The margin of an entry is the least change of margins and log-odds that may give it another label (Theorem 25); the
    log-odds are those of its label.

    Args:
        table: labels, margins and log-odds of the unions of all levels.
        margin: margin of the certificates. Entries are missing until a level is settled by twice as much.

    Raises:
        ConfigurationError: for a label without a confidence.
    """
    mutants, device = table.mutants, table.labels.device
    assert table.margins is not None
    threshold, confidences = log_odds_of(mutants.threshold), table.confidences("refine=")
    columns = mutants.path.to(device).T
    levels = [(table.labels[:, column], table.margins[:, column], confidences[:, column]) for column in columns]
    shape = (len(table.labels), len(mutants.finest))
    labels = torch.full(shape, NOT_EVALUATED, dtype=table.labels.dtype, device=device)
    log_odds = torch.full(shape, torch.nan, device=device)
    # Entries whose levels so far are all evaluated and leave the label, or its margin, open.
    open_ = torch.ones(shape, dtype=torch.bool, device=device)
    complete = torch.zeros_like(open_)
    reached = []
    for level, (label, _, odds) in enumerate(levels):
        last = level == len(levels) - 1
        open_ &= label != NOT_EVALUATED
        chosen = open_ & (labels == NOT_EVALUATED) & (last | (odds >= threshold))
        labels, log_odds = torch.where(chosen, label, labels), torch.where(chosen, odds.float(), log_odds)
        reached.append(open_)
        closed = open_ & (last | (odds >= threshold + 2 * margin))
        complete |= closed
        open_ = open_ & ~closed

    least = torch.full(shape, torch.inf, dtype=torch.float64, device=device)
    unsettled = torch.zeros(shape, dtype=torch.float64, device=device)
    for level, (label, level_margin, odds) in enumerate(levels):
        last = level == len(levels) - 1
        # What it takes that this level is the first settled one, with another label.
        relabelled = level_margin.double().where(label == labels, 0.0)
        settled = torch.zeros_like(odds) if last else _at_least(threshold - odds, odds, threshold)
        change = torch.maximum(unsettled, torch.maximum(settled, relabelled))
        least = torch.where(reached[level], torch.minimum(least, change), least)
        if not last:
            kept = _at_least(odds - threshold, odds, threshold)
            unsettled = torch.where(reached[level], torch.maximum(unsettled, kept), unsettled)
    # Nothing is assumed of the levels below the last one that was reached.
    least = torch.where(reached[-1], least, torch.minimum(least, unsettled))
    return PredictionTable(
        mutants.finest,
        labels.masked_fill(~complete, NOT_EVALUATED),
        rounded_down(least).masked_fill(~complete, torch.nan),
        log_odds.masked_fill(~complete, torch.nan),
    )


def _at_least(
    distance: Float[Tensor, "image union"], log_odds: Float[Tensor, "image union"], threshold: float
) -> Float[Tensor, "image union"]:
    """A positive distance of log-odds from the threshold, less what both runs may round them by, else 0."""
    return (distance - float32_rounding(log_odds, threshold)).clamp(min=0)
