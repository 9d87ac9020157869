"""Weights & Biases: the run of a command, its artifacts and charts, the dashboard of a project."""

from mrcert_pl.views.wandb.artifacts import (
    Artifact,
    Artifacts,
    attacked_artifact,
    checkpoint_artifact,
    dataset_artifact,
    outcome_artifact,
    tables_artifact,
)
from mrcert_pl.views.wandb.log import (
    MOST_EXAMPLES,
    log_attack,
    log_audit,
    log_evaluation,
    log_overview,
    log_thresholds,
    log_training,
)
from mrcert_pl.views.wandb.run import WandbRun, check_account, run_closed

__all__ = [
    "MOST_EXAMPLES",
    "Artifact",
    "Artifacts",
    "WandbRun",
    "attacked_artifact",
    "check_account",
    "checkpoint_artifact",
    "dataset_artifact",
    "log_attack",
    "log_audit",
    "log_evaluation",
    "log_overview",
    "log_thresholds",
    "log_training",
    "outcome_artifact",
    "run_closed",
    "tables_artifact",
]
