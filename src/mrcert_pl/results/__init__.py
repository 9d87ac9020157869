"""Typed results of the commands: frozen dataclasses, JSON and Parquet; statistics and comparisons of them.

Imported from their own modules, which import torch: ``rows`` (verdict rows, location counts), ``examples`` (images with
their verdicts) and ``predictions`` (verdicts of the guard).
"""

from mrcert_pl.results.compare import Comparison, compare
from mrcert_pl.results.kinds import kind_of
from mrcert_pl.results.locations import Locations, read_locations, write_locations
from mrcert_pl.results.runs import EvaluationRun, Run, find_leftovers, find_runs, one_run, read_deltas, read_run
from mrcert_pl.results.schema import (
    Accuracy,
    AttackResult,
    AttackTally,
    BenchmarkResult,
    BenchmarkRow,
    CertificateAuditResult,
    Environment,
    EvaluationResult,
    LogitDifference,
    MutantFacts,
    NumericsResult,
    SeedAccuracy,
    ThresholdResult,
    ThresholdRow,
    TrainingResult,
    VerdictRow,
    VerificationReport,
)
from mrcert_pl.results.seeds import SeedsResult, over_seeds
from mrcert_pl.results.verdicts import VerdictWriter, merge_verdicts, read_verdicts, write_verdicts

__all__ = [
    "Accuracy",
    "AttackResult",
    "AttackTally",
    "BenchmarkResult",
    "BenchmarkRow",
    "CertificateAuditResult",
    "Comparison",
    "Environment",
    "EvaluationResult",
    "EvaluationRun",
    "Locations",
    "LogitDifference",
    "MutantFacts",
    "NumericsResult",
    "Run",
    "SeedAccuracy",
    "SeedsResult",
    "ThresholdResult",
    "ThresholdRow",
    "TrainingResult",
    "VerdictRow",
    "VerdictWriter",
    "VerificationReport",
    "compare",
    "find_leftovers",
    "find_runs",
    "kind_of",
    "merge_verdicts",
    "one_run",
    "over_seeds",
    "read_deltas",
    "read_locations",
    "read_run",
    "read_verdicts",
    "write_locations",
    "write_verdicts",
]
