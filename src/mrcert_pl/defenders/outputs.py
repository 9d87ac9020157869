"""Requested outputs of a defender, and the verdicts that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import total_ordering
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.errors import unknown

NO_ALERT = -1
NO_LABEL = -1
ANY_LABEL = -2


@total_ordering
class OutputLevel(Enum):
    """Requested outputs of a defender. The levels are ordered; each includes the outputs of the lower ones.

    - ``label``: label, case, witness, level and alert;
    - ``certificate``: certified, the label of detection, and whether a limit was reached;
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
    OutputLevel.LABEL: ("label", "case", "witness", "level", "alert"),
    OutputLevel.CERTIFICATE: ("certified", "detects", "limit_reached"),
    OutputLevel.ROUND_TRIP: ("round_trip",),
    OutputLevel.MAP: ("certified_patches", "safe_masks"),
    OutputLevel.TABLE: (),
}
_PATCHES = {OutputLevel.LABEL: 0, OutputLevel.CERTIFICATE: 1, OutputLevel.ROUND_TRIP: 2}


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on a batch of images.

    A field is ``None`` if the defender does not provide it or it was not requested.

    Attributes:
        label: label of the defender, ``g(x)``.
        certified: if true, every image that differs from this one inside one patch gets the same label.
        round_trip: if true, every such patched image gets the same label and is itself certified.
        case: step of the inference that decided, from 1; each defender defines its own.
        witness: mutant (column of the table) whose label is the verdict because all its further mutants agree; -1 if
            there is none.
        certified_patches: largest number of patches that can't change the label, wherever they are, at most the number
            that the defender is built for; 0 if one patch may change it, -1 if moreover MRCert found no witness.
        level: number of patches of the rule that decided; 0 if none did and the label is a fallback.
        safe_masks: whether a patch inside the mask can't change the label, in the order of the lattice's masks;
            ``None`` if the defender certifies all placements or none.
        alert: first mutant (column of the table) that raises the alert of a detector, :data:`NO_ALERT` (-1) if none
            does.
        detects: label that the image is detection-certified for: every image that differs from this one inside the
            patches has this label or raises an alert; :data:`NO_LABEL` (-1) for none, :data:`ANY_LABEL` (-2) if it
            raises an alert whatever the label is.
        limit_reached: whether the limit of refined unions ended the queries for certificates and maps, so that some may
            be missing; ``None`` without a limit.
    """

    label: Int[Tensor, " image"]
    certified: Bool[Tensor, " image"] | None
    round_trip: Bool[Tensor, " image"] | None
    case: Int[Tensor, " image"]
    witness: Int[Tensor, " image"]
    certified_patches: Int[Tensor, " image"] | None = None
    level: Int[Tensor, " image"] | None = None
    safe_masks: Bool[Tensor, "image mask"] | None = None
    alert: Int[Tensor, " image"] | None = None
    detects: Int[Tensor, " image"] | None = None
    limit_reached: Bool[Tensor, " image"] | None = None

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
