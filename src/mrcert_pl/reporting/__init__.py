"""Results that last and can be looked at: JSON, verdict rows, tables."""

from mrcert_pl.reporting.results import environment, find_results, read_results, write_results
from mrcert_pl.reporting.table import results_table, show
from mrcert_pl.reporting.verdict_rows import read_verdicts, write_verdicts

__all__ = [
    "environment",
    "find_results",
    "read_results",
    "read_verdicts",
    "results_table",
    "show",
    "write_results",
    "write_verdicts",
]
