"""Certified recovery from adversarial patches for Vision Transformers."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrcert_pl.guard import Guard
    from mrcert_pl.tasks.attack import AttackSettings, attack
    from mrcert_pl.tasks.audit import (
        CertificateAuditSettings,
        NumericsSettings,
        audit_certificates,
        audit_numerics,
    )
    from mrcert_pl.tasks.evaluate import EvaluationSettings, evaluate
    from mrcert_pl.tasks.plan import PlanSettings, plan
    from mrcert_pl.tasks.predict import PredictionSettings, predict
    from mrcert_pl.tasks.push import PushSettings, push
    from mrcert_pl.tasks.settings import DatasetSettings, ModelSettings, RunSettings, TrainerSettings
    from mrcert_pl.tasks.thresholds import ThresholdSettings, compare_thresholds
    from mrcert_pl.tasks.train import RecipeSettings, TrainingSettings, train

__version__ = "0.2.0"
__all__ = [
    "AttackSettings",
    "CertificateAuditSettings",
    "DatasetSettings",
    "EvaluationSettings",
    "Guard",
    "ModelSettings",
    "NumericsSettings",
    "PlanSettings",
    "PredictionSettings",
    "PushSettings",
    "RecipeSettings",
    "RunSettings",
    "ThresholdSettings",
    "TrainerSettings",
    "TrainingSettings",
    "__version__",
    "attack",
    "audit_certificates",
    "audit_numerics",
    "compare_thresholds",
    "evaluate",
    "plan",
    "predict",
    "push",
    "train",
]

_HOMES = {
    "guard": ["Guard"],
    "tasks.attack": ["AttackSettings", "attack"],
    "tasks.audit": ["CertificateAuditSettings", "NumericsSettings", "audit_certificates", "audit_numerics"],
    "tasks.evaluate": ["EvaluationSettings", "evaluate"],
    "tasks.plan": ["PlanSettings", "plan"],
    "tasks.predict": ["PredictionSettings", "predict"],
    "tasks.push": ["PushSettings", "push"],
    "tasks.settings": ["DatasetSettings", "ModelSettings", "RunSettings", "TrainerSettings"],
    "tasks.thresholds": ["ThresholdSettings", "compare_thresholds"],
    "tasks.train": ["RecipeSettings", "TrainingSettings", "train"],
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: the version, and the help of commands, do not wait for torch.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
