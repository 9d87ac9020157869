"""Counts of an audit of certificates agree with each other."""

import pytest
from result_files import ENVIRONMENT

from mrcert_pl.results import CertificateAuditResult


def test_counts_of_an_audit_are_nested() -> None:
    facts = {"dataset": "digits", "model": "vit_srf", "patch": 16, "defender": "mrcert", "environment": ENVIRONMENT}
    broken = {"labels_broken": 0, "certificates_broken": 0, "placements": 4, "attacks": (), "weights_sha256": "ab"}
    with pytest.raises(ValueError, match="certified: must lie between"):
        CertificateAuditResult(**facts, **broken, seed=0, images=3, certified=1, round_trip=2)
