"""What every defender is: a rule from a prediction table to verdicts."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.mutants.table import Mutants, PredictionTable

NO_WITNESS = -1

Want = Literal["label", "certificate", "round_trip", "map", "table"]

# The fields of verdicts that each want adds to those before it.
FIELDS: dict[Want, tuple[str, ...]] = {
    "label": ("label", "case", "witness", "level"),
    "certificate": ("certified",),
    "round_trip": ("round_trip",),
    "map": ("certified_patches", "safe_masks"),
    "table": (),
}

# How many patches the certificates of a want are about; those of the others about as many as the defender is built for.
PATCHES: dict[Want, int] = {"label": 0, "certificate": 1, "round_trip": 2}

Asked = TypeVar("Asked", bound="Defender[Any]")


def asked(want: Want) -> list[Want]:
    """This want and those before it."""
    wants = list(FIELDS)
    return wants[: wants.index(want) + 1]


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on a batch of images; every field is a tensor ``[image]`` where nothing else is said.

    A field that the defender doesn't give, or was not asked for, is ``None``.

    Attributes:
        label: long, the label that the defender gives, ``g(x)``.
        certified: bool; if true, every image that differs from this one inside one patch gets the same label.
        round_trip: bool; if true, every such patched image gets the same label and is itself certified.
        case: long, the step of the inference that decided, from 1; its meaning is the defender's.
        witness: long, the mutant (column of the table) whose label was taken because all its further mutants agree
            with it, -1 if there is none.
        certified_patches: long, the largest number of patches, up to those that the defender is built for, which
            leave the label as it is wherever they are; 0 if one may change it, -1 if MRCert found no witness either.
        level: long, for how many patches the rule is built that decided; 0 if none did and the label is a fallback.
        safe_masks: bool ``[image, mask]``, in the order of the lattice's masks: whether a patch under this mask leaves
            the label as it is; ``None`` if the defender certifies all places or none.
    """

    label: Tensor
    certified: Tensor | None
    round_trip: Tensor | None
    case: Tensor
    witness: Tensor
    certified_patches: Tensor | None = None
    level: Tensor | None = None
    safe_masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def cat(cls, parts: Sequence["Verdicts"]) -> "Verdicts":
        """The verdicts of one defender on several batches, one after the other."""
        present = [name for name, value in vars(parts[0]).items() if value is not None]
        fields: dict[str, Any] = dict.fromkeys(vars(parts[0]))
        return cls(**fields | {name: torch.cat([getattr(part, name) for part in parts]) for name in present})

    def only(self, want: Want) -> "Verdicts":
        """These verdicts without the fields that ``want`` doesn't include."""
        kept = {name for part in asked(want) for name in FIELDS[part]}
        dropped: dict[str, Any] = dict.fromkeys(vars(self).keys() - kept)
        return replace(self, **dropped)


class Defender(ABC, Generic[Mutants]):
    """A certified recovery defence, seen from the labels of mutants alone.

    Attributes:
        name: how results and tables call it.
        round_trip_note: why no round trip can be certified, or ``None`` if it can.
        want: what it is asked for, each with all that stands before it: the ``label`` (with case, witness and level),
            the ``certificate``, the ``round_trip``, the ``map`` (numbers of patches, safe masks). Of these it asks for
            no more labels once they can't change any more. Or the whole ``table``, which gives all fields.
    """

    name: str
    round_trip_note: str | None = None
    want: Want = "table"

    def asked_for(self: Asked, want: Want) -> Asked:
        """The same defender, asked for this much.

        Raises:
            ConfigurationError: for an unknown want.
        """
        if want not in FIELDS:
            raise unknown("want", want, FIELDS)
        defender = copy.copy(self)
        defender.want = want
        return defender

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
        """Verdicts on all images of the table, in the fields that the defender is asked for.

        Raises:
            ConfigurationError: if the table lacks mutants, or labels, that the defender needs.
        """
        if missing := int(self.next_queries(table).sum()):
            raise ConfigurationError(
                f"the table lacks {missing} labels that {type(self).__name__} needs; "
                "an evaluation with evaluate=full and its folder as store= adds them"
            )
        return self._decide(table).only(self.want)

    @abstractmethod
    def _decide(self, table: PredictionTable[Mutants]) -> Verdicts: ...


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
