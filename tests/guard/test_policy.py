import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.guard import Policy


@pytest.mark.parametrize(
    ("require", "certified", "round_trip", "hides", "decision"),
    [
        ("certificate", True, False, False, "accept"),
        ("certificate", True, True, True, "recovered"),
        ("certificate", False, False, False, "abstain"),
        # A witness that hides something, but no certificate: nobody can know that the label is the original's.
        ("certificate", False, False, True, "abstain"),
        ("certificate", True, None, False, "accept"),
        ("certificate", None, None, True, None),
        ("round_trip", True, False, False, "abstain"),
        ("round_trip", True, True, False, "accept"),
        ("round_trip", True, True, True, "recovered"),
        ("round_trip", True, None, False, None),
    ],
)
def test_decisions(require, certified, round_trip, hides, decision):
    assert Policy(require).decide(certified, round_trip, hides) == decision


def test_an_unknown_requirement_lists_the_known_ones():
    with pytest.raises(ConfigurationError, match="'label'; choose one of: certificate, round_trip"):
        Policy("label")
