"""Tables that are filled as a defender asks, and how its verdicts there compare with those on the full ones."""

import torch

from mrcert_pl.defenders import Defender
from mrcert_pl.mutants.table import PredictionTable

WANTS = ("label", "certificate", "round_trip", "map")
FIELDS = ("label", "case", "witness", "level", "certified", "round_trip", "certified_patches", "safe_masks")
# How many of the fields each output level gives.
GIVEN = dict(zip(WANTS, (4, 5, 6, 8), strict=True))


def filled_as_asked(defender: Defender, full: PredictionTable) -> tuple[PredictionTable, int]:
    """What is known of ``full`` when the defender asks for nothing more, and the number of rounds."""
    table, rounds = PredictionTable.empty(full.mutants, len(full.labels)), 0
    while (wanted := defender.next_queries(table)).any():
        assert not (wanted & table.evaluated).any()
        table.labels[wanted] = full.labels[wanted].int()
        if full.margins is not None:
            table.margins[wanted] = full.margins[wanted].float()  # type: ignore[index]
        rounds += 1
    return table, rounds


def assert_verdicts_of_the_full_table(defender: Defender, full: PredictionTable) -> dict[str, float]:
    """For every output level; gives the mean share of the mutants that it took."""
    expected, shares = defender.decide(full), {}
    for want in WANTS:
        lazy = defender.with_output(want)  # type: ignore[arg-type]
        table, _ = filled_as_asked(lazy, full)
        verdicts = lazy.decide(table)
        for number, field in enumerate(FIELDS):
            value = getattr(verdicts, field)
            if number >= GIVEN[want] or getattr(expected, field) is None:
                assert value is None, (want, field)
            else:
                assert torch.equal(value, getattr(expected, field)), (want, field)
        shares[want] = float(table.evaluated.float().mean())
    return shares
