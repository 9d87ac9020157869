"""Certified detection: the label of the base model, and an alert (docs/theory.md, section 14)."""

import copy
import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.defenders.base import NO_WITNESS, check_margin, check_most
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.outputs import ANY_LABEL, NO_ALERT, NO_LABEL, OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.confidence import float32_rounding, log_odds_of
from mrcert_pl.mutants.table import PredictionTable


class Detector(MaskingDefender):
    """A rule that raises an alert on entries of the maximal unions of ``at_once`` masks; one patch by default.

    An entry that dissents from the unmasked image raises an alert if its confidence is above :attr:`dissent_above`, one
    that agrees with it if its confidence is below :attr:`agreement_below`; by default every entry that dissents does,
    and none that agrees. The certificate follows from the two (Theorem 21): an image is detection-certified for a label
    if every patched version has this label or raises an alert.

    A detector certifies no recovery: ``certified`` and ``round_trip`` are false. Case 1 is silence, Case 2 an alert.

    Args:
        at_once: number of patches at the same time.
        margin: entries of a certificate have a top-two logit margin above this, and log-odds at this distance from the
            threshold, beside the rounding of float32 (Theorem 22; 0: no condition).

    Raises:
        ConfigurationError: for less than one patch, a negative margin, or a table that lacks the margins or confidences
            that the rule needs.
    """

    round_trip_note = "a detector raises an alert and recovers no label"
    needs_confidence = False

    def __init__(self, at_once: int = 1, margin: float = 0.0) -> None:
        if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
            raise ConfigurationError(f"a detector needs a whole number of patches, at least one, not {at_once!r}")
        check_most(at_once)
        check_margin(margin)
        self.at_once = self.order = self.initial_order = at_once
        self.margin = margin

    @property
    def dissent_above(self) -> float:
        """Log-odds above which an entry raises an alert if it dissents."""
        return -math.inf

    @property
    def agreement_below(self) -> float:
        """Log-odds below which an entry raises an alert if it agrees."""
        return -math.inf

    def dissent_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        """Whether an entry raises an alert if it dissents; with a margin, whether it does in every other run too.

        Args:
            log_odds: log-odds in float64, in which they must be compared.
            margin: margin of the certificate.
        """
        return log_odds > self.dissent_above + _distance(log_odds, self.dissent_above, margin)

    def agreement_alerts(self, log_odds: Float[Tensor, "image entry"], margin: float) -> Bool[Tensor, "image entry"]:
        """Whether an entry raises an alert if it agrees; with a margin, whether it does in every other run too."""
        return log_odds < self.agreement_below - _distance(log_odds, self.agreement_below, margin)

    def next_queries(self, table: PredictionTable[UnionLattice]) -> Bool[Tensor, "image mutant"]:
        self._check_mutants(table)
        wanted = torch.zeros_like(table.evaluated)
        wanted[:, self._columns(table)] = True
        return wanted & ~table.evaluated

    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        columns = self._columns(table)
        entries, labels, log_odds = (
            columns[1:],
            table.labels[:, columns[1:]].long(),
            self._log_odds(table, columns)[:, 1:],
        )
        label = table.labels[:, 0].long()
        dissents = labels != label[:, None]
        alerting = torch.where(dissents, self.dissent_alerts(log_odds, 0.0), self.agreement_alerts(log_odds, 0.0))
        raised = alerting.any(1)
        none = torch.zeros_like(label)
        return Verdicts(
            label=label,
            certified=none.bool(),
            round_trip=none.bool(),
            case=torch.where(raised, 2, 1),
            witness=none + NO_WITNESS,
            level=none,
            alert=torch.where(raised, entries[alerting.int().argmax(1)], NO_ALERT),
            detects=self._detects(labels, log_odds, table.above(self.margin)[:, entries]),
        )

    def _detects(
        self,
        labels: Int[Tensor, "image entry"],
        log_odds: Float[Tensor, "image entry"],
        trusted: Bool[Tensor, "image entry"],
    ) -> Int[Tensor, " image"]:
        """The label that an image is detection-certified for."""
        # An entry in doubt raises an alert whatever the label is; any other is good for its own label alone.
        decided = ~self.agreement_alerts(log_odds, self.margin)
        reliable = self.dissent_alerts(log_odds, self.margin) & (trusted | ~decided)
        lowest = labels.masked_fill(~decided, torch.iinfo(labels.dtype).max).amin(1)
        highest = labels.masked_fill(~decided, NO_LABEL).amax(1)
        one = torch.where(lowest == highest, highest, NO_LABEL)
        certified = torch.where(decided.any(1), one, ANY_LABEL)
        return torch.where(reliable.all(1), certified, NO_LABEL)

    def _columns(self, table: PredictionTable[UnionLattice]) -> Int[Tensor, " column"]:
        """Columns that the rule reads: the unmasked image, then the entries that may raise an alert."""
        entries = table.mutants.maximal(self.order)
        return torch.cat([entries.new_zeros(1), entries]).to(table.labels.device)

    def _log_odds(
        self, table: PredictionTable[UnionLattice], columns: Int[Tensor, " column"]
    ) -> Float[Tensor, "image column"]:
        if not self.needs_confidence:
            return torch.zeros(len(table.labels), len(columns), dtype=torch.float64, device=table.labels.device)
        return table.confidences(type(self).__name__, columns)


class ThresholdDetector(Detector):
    """A detector that compares confidences with a threshold.

    Args:
        threshold: softmax confidence, from 0 to 1.
        at_once, margin: see :class:`Detector`.
    """

    needs_confidence = True

    def __init__(self, threshold: float = 0.8, at_once: int = 1, margin: float = 0.0) -> None:
        super().__init__(at_once, margin)
        self.threshold = _checked(threshold)

    def with_threshold(self, threshold: float) -> "ThresholdDetector":
        """Return the same detector with another threshold.

        Raises:
            ConfigurationError: for a threshold out of range.
        """
        other = copy.copy(self)
        other.threshold = _checked(threshold)
        other.settings = {**self.settings, "threshold": threshold}
        return other

    @property
    def log_odds_threshold(self) -> float:
        """The threshold as log-odds, infinite at 0 and 1."""
        return log_odds_of(float(self.threshold))


def _checked(threshold: float) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise ConfigurationError(f"the threshold of a confidence must be from 0 to 1, got {threshold!r}")
    return threshold


def _distance(log_odds: Float[Tensor, "image entry"], threshold: float, margin: float) -> Float[Tensor, "image entry"]:
    """Distance from the threshold at which a comparison holds in every other run (Theorem 22)."""
    return float32_rounding(log_odds, threshold) + margin if margin else torch.zeros_like(log_odds)
