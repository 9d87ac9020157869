"""Policies: from certificates to decisions."""

from dataclasses import dataclass
from typing import Literal, get_args

from mrcert_pl.errors import unknown

Decision = Literal["accept", "recovered", "alert", "abstain"]
Requirement = Literal["certificate", "round_trip"]


@dataclass(frozen=True)
class Policy:
    """Accept a label if it has the required certificate.

    - ``accept``: certified, and the witness hides nothing.
    - ``recovered``: certified with a non-empty witness: a patch may already be on the image, and the witness gives its
      location. The label is certified all the same, the clean original included.
    - ``abstain``: not certified. The label may be correct, but nothing is guaranteed. A witness alone is no guarantee:
      its label is the original's only if the original was certified, which this image can't tell.

    With a detector (:meth:`decide_detection`), whatever is required:

    - ``accept``: silent and detection-certified: every patched version has this label or raises an alert.
    - ``alert``: a masked image contradicts the label, or is too uncertain.
    - ``abstain``: silent, and nothing is guaranteed.

    Args:
        require: ``certificate`` (no single further patch can change the label) or ``round_trip`` (the image is
            certified again after any single further patch).

    Raises:
        ConfigurationError: for another requirement.
    """

    require: Requirement = "certificate"

    def __post_init__(self) -> None:
        if self.require not in get_args(Requirement):
            raise unknown("requirement of a policy", self.require, get_args(Requirement))

    def decide(self, certified: bool | None, round_trip: bool | None, hides: bool) -> Decision | None:
        """Return the decision, or ``None`` if the required certificate was not requested.

        Args:
            certified: True if the label is certified.
            round_trip: True if the round trip is certified.
            hides: True if the witness hides a window.
        """
        required = certified if self.require == "certificate" else round_trip
        if required is None:
            return None
        if not required:
            return "abstain"
        return "recovered" if hides else "accept"

    def decide_detection(self, alert: bool, certified: bool | None) -> Decision | None:
        """Return the decision on a detector's verdict, or ``None`` if it is silent and no certificate was requested.

        Args:
            alert: True if the detector raises an alert.
            certified: True if the image is detection-certified for its label.
        """
        if alert:
            return "alert"
        return None if certified is None else "accept" if certified else "abstain"
