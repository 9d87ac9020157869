"""Metrics of certified defences."""

from typing import Any

from mrcert_pl.defenders import Defender, Detector
from mrcert_pl.metrics.certified_detection import CertifiedDetectionAccuracy
from mrcert_pl.metrics.certified_recovery import CertifiedRecoveryAccuracy

__all__ = ["CertifiedDetectionAccuracy", "CertifiedRecoveryAccuracy", "accuracy_of"]


def accuracy_of(
    defender: Defender[Any], attacked: bool = False
) -> CertifiedDetectionAccuracy | CertifiedRecoveryAccuracy:
    """The metric of a defender: detection for a detector, recovery for any other.

    Args:
        defender: defender.
        attacked: whether the images are attacked.
    """
    kind = CertifiedDetectionAccuracy if isinstance(defender, Detector) else CertifiedRecoveryAccuracy
    return kind(attacked)
