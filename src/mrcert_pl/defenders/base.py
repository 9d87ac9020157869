"""What every defender is: a rule from a prediction table to verdicts."""

import copy
import warnings
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.mutants.table import Mutants, PredictionTable

NO_WITNESS = -1

ThisDefender = TypeVar("ThisDefender", bound="Defender[Any]")


class Defender(ABC, Generic[Mutants]):
    """A certified recovery defence, seen from the labels of mutants alone.

    Attributes:
        name: how results and tables call it.
        round_trip_note: why no round trip can be certified, or ``None`` if it can.
        output: requested outputs. Below ``table`` the defender asks for no more labels once they can't change these.
    """

    name: str
    round_trip_note: str | None = None
    output: OutputLevel = OutputLevel.TABLE

    def with_output(self: ThisDefender, output: OutputLevel | str) -> ThisDefender:
        """Return a copy of this defender with other requested outputs.

        Raises:
            ConfigurationError: for an unknown output level.
        """
        defender = copy.copy(self)
        defender.output = OutputLevel(output)
        return defender

    def asked_for(self: ThisDefender, want: OutputLevel | str) -> ThisDefender:
        """Deprecated name of :meth:`with_output`."""
        warnings.warn("Defender.asked_for is deprecated; use with_output", DeprecationWarning, stacklevel=2)
        return self.with_output(want)

    @abstractmethod
    def mutants(self, model: Any, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> Mutants:
        """The mutants that this defender looks at, for the windows of a base model and a patch.

        Args:
            model: a base model; only its geometry is read.
            patch: the patch to defend against.
            stride: distance of neighbouring masks in windows.

        Raises:
            ConfigurationError: for a model that has no such mutants, or a patch that can't be covered.
        """

    @abstractmethod
    def next_queries(self, table: PredictionTable[Mutants]) -> BoolTensor:
        """``[image, mutant]``: entries to evaluate before :meth:`decide` can answer; none left means ready.

        Raises:
            ConfigurationError: if the table's mutants are not those that the defender needs.
        """

    def decide(self, table: PredictionTable[Mutants]) -> Verdicts:
        """Verdicts on all images of the table, in the requested fields.

        Raises:
            ConfigurationError: if the table lacks mutants, or labels, that the defender needs.
        """
        if missing := int(self.next_queries(table).sum()):
            raise ConfigurationError(
                f"the table lacks {missing} labels that {type(self).__name__} needs; "
                "an evaluation with evaluate=full and its folder as store= adds them"
            )
        return self.decide_complete(table).only(self.output)

    @abstractmethod
    def decide_complete(self, table: PredictionTable[Mutants]) -> Verdicts: ...


def check_margin(margin: float) -> None:
    """Check the margin of a certificate.

    Raises:
        ConfigurationError: if it is negative or no number.
    """
    if not margin >= 0:
        raise ConfigurationError(f"the margin of a certificate can't be negative: {margin}")


def first(found: Tensor) -> Tensor:
    """Position of the first true entry of each row of ``[image, candidate]``, -1 where there is none."""
    return torch.where(found.any(1), found.int().argmax(1), NO_WITNESS)
