"""Verdicts once more, from the definitions of docs/theory.md in NumPy; nothing is shared with the defenders."""

from mrcert_pl.verification.verify import Verification, has_rule, verify

__all__ = ["Verification", "has_rule", "verify"]
