"""What to do with a verdict."""

from dataclasses import dataclass
from typing import Literal, get_args

from mrcert_pl.errors import unknown

Decision = Literal["accept", "recovered", "abstain"]
Requirement = Literal["certificate", "round_trip"]


@dataclass(frozen=True)
class Policy:
    """Takes a label if its certificate is good enough.

    - ``accept``: it is, and nothing had to be hidden for the label.
    - ``recovered``: it is, but some windows had to be hidden before all further mutants agreed: a patch may already be
      on the image, and its witness says where. The label is certified all the same, the clean original included.
    - ``abstain``: it isn't. The label may still be right, but nothing is promised; neither by a witness alone, whose
      label is the original's only if the original was certified, and that nobody can know from this image.

    Args:
        require: ``certificate`` (one further patch can't change the label) or ``round_trip`` (nor can two, and with one
            the image is still certified).

    Raises:
        ConfigurationError: for another requirement.
    """

    require: Requirement = "certificate"

    def __post_init__(self) -> None:
        if self.require not in get_args(Requirement):
            raise unknown("requirement of a policy", self.require, get_args(Requirement))

    def decide(self, certified: bool | None, round_trip: bool | None, hides: bool) -> Decision | None:
        """The decision, or ``None`` if the defender was not asked for what is required.

        Args:
            certified: whether the label is certified.
            round_trip: whether the round trip is.
            hides: whether the witness hides anything.
        """
        good_enough = certified if self.require == "certificate" else round_trip
        if good_enough is None:
            return None
        if not good_enough:
            return "abstain"
        return "recovered" if hides else "accept"
