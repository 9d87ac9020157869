"""Differences of any type survive the file."""

from mrcert_pl.results import VerificationReport
from mrcert_pl.results.schema import Difference


def test_a_report_keeps_any_value() -> None:
    difference = Difference(3, "safe_masks", [True, None], [False, False])
    report = VerificationReport("outputs", "mrcert", 5, differences=(difference,))
    assert VerificationReport.from_json(report.to_json(), "file") == report
