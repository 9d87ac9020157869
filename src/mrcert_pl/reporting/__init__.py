"""Results that last and can be looked at: JSON, verdict rows, tables."""

from mrcert_pl.reporting.results import environment, find_results, read_results, write_results
from mrcert_pl.reporting.runs import Run, find_runs, one_run
from mrcert_pl.reporting.seeds import over_seeds
from mrcert_pl.reporting.table import results_table, show
from mrcert_pl.reporting.verdict_rows import (
    VerdictWriter,
    merge_verdicts,
    read_verdicts,
    verdict_column,
    write_verdicts,
)

__all__ = [
    "Run",
    "VerdictWriter",
    "environment",
    "find_results",
    "find_runs",
    "merge_verdicts",
    "one_run",
    "over_seeds",
    "read_results",
    "read_verdicts",
    "results_table",
    "show",
    "verdict_column",
    "write_results",
    "write_verdicts",
]
