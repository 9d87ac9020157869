"""The base class of all defenders: a rule from a prediction table to verdicts."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.mutants.table import Mutants, PredictionTable

NO_WITNESS = -1
MOST_PATCHES = 100
"""Largest number of patches of a defender: unions of twice as many masks hide every image of today's models."""

# Every whole number up to this one is a float.
_EXACT = 2**53

ThisDefender = TypeVar("ThisDefender", bound="Defender[Any]")


class Defender(ABC, Generic[Mutants]):
    """A certified recovery defence that decides on the labels of mutants alone.

    Attributes:
        name: name in results and tables.
        round_trip_note: reason why no round trip can be certified, ``None`` if it can.
        settings: settings that the registry built it with, as results record them.
        output: requested outputs. Below ``table``, labels that can't change these outputs are not queried.
    """

    name: str
    round_trip_note: str | None = None
    output: OutputLevel = OutputLevel.TABLE
    settings: Mapping[str, Any] = MappingProxyType({})

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
    def mutants(self, model: object, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> Mutants:
        """Return the mutants that this defender needs, for the windows of a base model and a patch.

        Args:
            model: base model; only its geometry is read.
            patch: patch to defend against.
            stride: stride of the masks in windows.

        Raises:
            ConfigurationError: for a model without such mutants, or a patch that can't be covered.
        """

    @abstractmethod
    def next_queries(self, table: PredictionTable[Mutants]) -> Bool[Tensor, "image mutant"]:
        """Entries of the next query round; none if :meth:`decide` has all that it needs.

        Raises:
            ConfigurationError: if the table's mutants are not those that the defender needs.
        """

    def decide(self, table: PredictionTable[Mutants]) -> Verdicts:
        """Return the verdicts on all images of the table, in the requested fields.

        Raises:
            ConfigurationError: if the table lacks mutants, or labels, that the defender needs.
        """
        if missing := int(self.next_queries(table).sum()):
            raise ConfigurationError(
                f"the table lacks {missing} labels that {type(self).__name__} needs; "
                "an evaluation with evaluate=full and its folder as store= adds them"
            )
        return self.decide_complete(table).only(self.output)

    def decided_on(self, table: PredictionTable[Mutants]) -> PredictionTable[Any]:
        """Return the table whose columns verdicts name as witnesses and alerts; nearly always the table itself."""
        return table

    @abstractmethod
    def decide_complete(self, table: PredictionTable[Mutants]) -> Verdicts:
        """Return the verdicts on a table for which :meth:`next_queries` is empty; further fields are dropped."""


def check_margin(margin: object) -> None:
    """Validate the margin of a certificate.

    Raises:
        ConfigurationError: if it is negative or not a number, or a whole number that no float equals.
    """
    if isinstance(margin, bool) or not isinstance(margin, (int, float)):
        raise ConfigurationError(f"the margin of a certificate must be a number, got {margin!r}")
    if isinstance(margin, int) and margin > _EXACT:
        raise ConfigurationError(f"the margin of a certificate must be at most 2^53 as a whole number, got {margin}")
    if not margin >= 0:
        raise ConfigurationError(f"the margin of a certificate can't be negative: {margin}")


def check_most(patches: int) -> None:
    """Validate the upper bound of a number of patches.

    Raises:
        ConfigurationError: above :data:`MOST_PATCHES`.
    """
    if patches > MOST_PATCHES:
        raise ConfigurationError(f"a defender is for at most {MOST_PATCHES} patches, got {patches}")


def first(found: Bool[Tensor, "image candidate"]) -> Int[Tensor, " image"]:
    """Position of the first true entry of each row, -1 where there is none."""
    return torch.where(found.any(1), found.int().argmax(1), NO_WITNESS)
