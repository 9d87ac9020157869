"""The guard: verdicts on single images at run time, when their labels are not known."""

from mrcert_pl.guard.guard import Guard
from mrcert_pl.guard.model_card import MeasuredAccuracy
from mrcert_pl.guard.policy import Decision, Policy
from mrcert_pl.guard.verdict import GuardVerdict

__all__ = ["Decision", "Guard", "GuardVerdict", "MeasuredAccuracy", "Policy"]
