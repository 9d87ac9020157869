"""Metrics of certified recovery."""

from mrcert_pl.metrics.certified_recovery import CertifiedRecoveryAccuracy

__all__ = ["CertifiedRecoveryAccuracy"]
