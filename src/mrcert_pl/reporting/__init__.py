"""Results that last and can be looked at: JSON, verdict rows, tables."""

from mrcert_pl.reporting.results import environment, find_results, read_results, write_results
from mrcert_pl.reporting.table import results_table, show
from mrcert_pl.reporting.verdict_rows import (
    VerdictWriter,
    merge_verdicts,
    read_verdicts,
    verdict_column,
    write_verdicts,
)

__all__ = [
    "VerdictWriter",
    "environment",
    "find_results",
    "merge_verdicts",
    "read_results",
    "read_verdicts",
    "results_table",
    "show",
    "verdict_column",
    "write_results",
    "write_verdicts",
]
