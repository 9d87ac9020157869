"""The guard's verdict on one image."""

from dataclasses import dataclass, field, fields
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.geometry import PatchSpec
from mrcert_pl.guard.policy import Decision

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class GuardVerdict:
    """Verdict on one image. A field that the defender doesn't give, or that was not requested, is ``None``.

    Pixels are those of the image that the model sees, after resizing and cropping.

    Attributes:
        image: Path of the image, or its number in the call.
        label: Label of the defender.
        name: Class name of the label.
        decision: Decision of the policy: accept, recovered, alert or abstain.
        certified: True if no single further patch can change the label.
        certified_patches: Number of further patches that can't change the label, at any location; -1 without a witness.
        round_trip: True if the image is certified again after any single further patch.
        case: Step of the inference that decided, from 1; its meaning depends on the defender.
        witness: Numbers of the windows, row by row, that are hidden in the witness: where a patch may already be. Empty
            if no window is hidden; ``None`` without a witness.
        witness_px: The same as rectangles ``(top, left, bottom, right)`` in px, the last two exclusive.
        certified_fraction: Fraction of the locations of one further patch at which it can't change the label.
        margin: Difference of the two highest logits of the mutant that gave the label; ``None`` for a vote.
        base_label: Label of the base model alone.
        base_name: Class name of the base label.
        mutants_evaluated: Number of evaluated mutants of the image.
        seconds: Time from pixels to verdict; images of one batch divide its time equally.
        meaning: Statement of the certificate; ``None`` without one.
        alert_px: Rectangles that are hidden in the first mutant that raises the alert of a detector; ``None`` without.
        maps: For each patch shape the safe locations of its top left pixel.
    """

    image: str
    label: int
    name: str
    decision: Decision | None
    certified: bool | None
    certified_patches: int | None
    round_trip: bool | None
    case: int
    witness: tuple[int, ...] | None
    witness_px: tuple[Box, ...] | None
    certified_fraction: float | None
    margin: float | None
    base_label: int
    base_name: str
    mutants_evaluated: int
    seconds: float
    meaning: str | None = field(repr=False)
    alert_px: tuple[Box, ...] | None = None
    maps: tuple[Bool[Tensor, "top left"], ...] = field(default=(), repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All fields except the maps as values of a JSON object."""
        values = {name: getattr(self, name) for name in self.columns()}
        boxes = {name: getattr(self, name) for name in ("witness_px", "alert_px")}
        return values | {
            "witness": None if self.witness is None else list(self.witness),
            **{name: None if found is None else [list(box) for box in found] for name, found in boxes.items()},
        }

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the fields of the JSON object, in order."""
        return [each.name for each in fields(cls) if each.name != "maps"]


def meaning_of_silence(patch: PatchSpec, image_px: tuple[int, int], patches: int) -> str:
    """State what a silent, detection-certified image promises (docs/theory.md, section 14)."""
    shapes = " or ".join(f"{height}x{width}" for height, width in patch.shapes_px(image_px))
    count = f"{patches} patch{'' if patches == 1 else 'es'}"
    return (
        f"every image that differs from this one in at most {count} of at most {shapes} px gets this label or raises "
        "an alert, including the clean original if this image was patched; it does not say that the label is correct"
    )


def meaning_of(patches: int | None, patch: PatchSpec, image_px: tuple[int, int]) -> str:
    """State the certificate for a number of patches, ``n`` if not given (docs/theory.md, section 8)."""
    shapes = " or ".join(f"{height}x{width}" for height, width in patch.shapes_px(image_px))
    count = "n patches" if patches is None else f"{patches} patch{'' if patches == 1 else 'es'}"
    return (
        f"every image that differs from this one in at most {count} of at most {shapes} px gets this label, including "
        "the clean original if this image was patched; it does not say that the label is correct"
    )
