"""Queries of one defender, answered from a table that several share."""

from typing import Any

from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.mutants.evaluator import Queries
from mrcert_pl.mutants.table import PredictionTable


class Replay:
    """The query rounds of a defender whose table holds what it would have queried alone, whatever others know.

    :meth:`MutantEvaluator.evaluate` fills the shared table by it: only entries that nobody has queried before are
    evaluated.

    Args:
        defender: source of the query rounds.
        own: table of the defender, of the same columns as the shared one; filled in place.
    """

    def __init__(self, defender: Queries, own: PredictionTable[Any]) -> None:
        self.defender = defender
        self.own = own

    def next_queries(self, table: PredictionTable[Any]) -> Bool[Tensor, "image mutant"]:
        """Return the entries of the next query round that the shared table lacks; none at the end."""
        while (queries := self.defender.next_queries(self.own)).any():
            if (missing := queries & ~table.evaluated).any():
                return missing
            for name in ("labels", "margins", "log_odds"):
                getattr(self.own, name)[queries] = getattr(table, name)[queries]
        return queries
