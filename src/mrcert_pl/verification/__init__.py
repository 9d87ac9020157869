"""Verdicts computed again from the definitions of docs/theory.md in NumPy; no code of the defenders is used."""

from mrcert_pl.results.schema import VerificationReport
from mrcert_pl.verification.verify import FREE, verify

__all__ = ["FREE", "VerificationReport", "verify"]
