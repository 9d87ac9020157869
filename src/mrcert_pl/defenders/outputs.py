"""Requested outputs of a defender, and the verdicts that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import total_ordering
from typing import Any

import torch
from torch import Tensor

from mrcert_pl.errors import unknown


@total_ordering
class OutputLevel(Enum):
    """Requested outputs of a defender. The levels are ordered; each includes the outputs of the lower ones.

    - ``label``: label, case, witness and level;
    - ``certificate``: certified;
    - ``round_trip``: round trip;
    - ``map``: number of certified patches and safe masks;
    - ``table``: the same fields, and a table without missing entries.

    Raises:
        ConfigurationError: ``OutputLevel(name)`` for an unknown name.
    """

    LABEL = "label"
    CERTIFICATE = "certificate"
    ROUND_TRIP = "round_trip"
    MAP = "map"
    TABLE = "table"

    @classmethod
    def _missing_(cls, value: object) -> "OutputLevel":
        raise unknown("output level", value, [level.value for level in cls])

    def __lt__(self, other: "OutputLevel") -> bool:
        levels = list(OutputLevel)
        return levels.index(self) < levels.index(other)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of :class:`Verdicts` that this level adds to those of the lower levels."""
        return _FIELDS[self]

    def up_to(self) -> list["OutputLevel"]:
        """This level and all lower ones, in ascending order."""
        return [level for level in OutputLevel if level <= self]

    def patches(self, most: int) -> int:
        """Number of patches that the certificates of this level cover, for a defender built for ``most``."""
        return min(most, _PATCHES.get(self, most))


_FIELDS: dict[OutputLevel, tuple[str, ...]] = {
    OutputLevel.LABEL: ("label", "case", "witness", "level"),
    OutputLevel.CERTIFICATE: ("certified",),
    OutputLevel.ROUND_TRIP: ("round_trip",),
    OutputLevel.MAP: ("certified_patches", "safe_masks"),
    OutputLevel.TABLE: (),
}
_PATCHES = {OutputLevel.LABEL: 0, OutputLevel.CERTIFICATE: 1, OutputLevel.ROUND_TRIP: 2}


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on a batch of images; every field is a tensor ``[image]`` where nothing else is said.

    A field that the defender doesn't give, or that was not requested, is ``None``.

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
        """Concatenate the verdicts of one defender on several batches."""
        present = [name for name, value in vars(parts[0]).items() if value is not None]
        fields: dict[str, Any] = dict.fromkeys(vars(parts[0]))
        return cls(**fields | {name: torch.cat([getattr(part, name) for part in parts]) for name in present})

    def only(self, output: OutputLevel) -> "Verdicts":
        """Drop the fields that an output level doesn't include."""
        kept = {name for level in output.up_to() for name in level.fields}
        dropped: dict[str, Any] = dict.fromkeys(vars(self).keys() - kept)
        return replace(self, **dropped)
