"""Typed results of the commands and their JSON, one file per kind; no other package names their fields in files."""

from collections.abc import Mapping

from mrcert_pl.results.schema.attack import AttackResult
from mrcert_pl.results.schema.benchmark import BenchmarkResult, BenchmarkRow
from mrcert_pl.results.schema.certificate_audit import AttackTally, CertificateAuditResult
from mrcert_pl.results.schema.common import Accuracy, Environment, MutantFacts, Patch, RunDocument, SeedAccuracy
from mrcert_pl.results.schema.cross import CrossResult
from mrcert_pl.results.schema.evaluation import ADVERSARIAL, OF_HARMFUL, EvaluationResult
from mrcert_pl.results.schema.numerics import LogitDifference, NumericsResult
from mrcert_pl.results.schema.thresholds import ThresholdResult, ThresholdRow
from mrcert_pl.results.schema.training import TrainingResult
from mrcert_pl.results.schema.verdict import ANY_LABEL, VerdictRow
from mrcert_pl.results.schema.verification import Difference, VerificationReport

RUN_DOCUMENTS: Mapping[str, type[RunDocument]] = {
    document.KIND: document
    for document in (
        AttackResult,
        CertificateAuditResult,
        EvaluationResult,
        NumericsResult,
        ThresholdResult,
        TrainingResult,
    )
}
"""Results of the commands that run a model, by kind."""

__all__ = [
    "ADVERSARIAL",
    "ANY_LABEL",
    "OF_HARMFUL",
    "RUN_DOCUMENTS",
    "Accuracy",
    "AttackResult",
    "AttackTally",
    "BenchmarkResult",
    "BenchmarkRow",
    "CertificateAuditResult",
    "CrossResult",
    "Difference",
    "Environment",
    "EvaluationResult",
    "LogitDifference",
    "MutantFacts",
    "NumericsResult",
    "Patch",
    "RunDocument",
    "SeedAccuracy",
    "ThresholdResult",
    "ThresholdRow",
    "TrainingResult",
    "VerdictRow",
    "VerificationReport",
]
