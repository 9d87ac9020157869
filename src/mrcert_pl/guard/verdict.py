"""What the guard says about one image."""

from dataclasses import dataclass, field, fields
from typing import Any

from torch import BoolTensor

from mrcert_pl.geometry import PatchSpec
from mrcert_pl.guard.evidence import Box
from mrcert_pl.guard.policy import Decision


@dataclass(frozen=True)
class GuardVerdict:
    """One image's verdict as plain values; what the defender doesn't give, or was not asked for, is ``None``.

    Pixels are those of the image as the model sees it, after resizing and cropping.

    Attributes:
        image: where it came from: a path, or its number among the given ones.
        label: the label that the defender gives. name: of its class.
        decision: of the policy: accept, recovered or abstain.
        certified: whether one further patch can't change the label.
        certified_patches: how many further patches can't, wherever they are; -1 if there isn't even a witness.
        round_trip: whether the image with one further patch is certified itself.
        case: the step of the inference that decided, from 1; its meaning is the defender's.
        base_label: the label of the base model alone. base_name: of its class.
        mutants_evaluated: how many masked versions of the image were labelled.
        seconds: from pixels to verdict; images of one batch share its time equally.
        meaning: what the certificate promises, in words; ``None`` without one.
        witness, witness_px, certified_fraction, margin, maps: see :class:`mrcert_pl.guard.evidence.Evidence`.
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
    maps: tuple[BoolTensor, ...] = field(default=(), repr=False, compare=False)

    def row(self) -> dict[str, Any]:
        """All but the maps, for JSON and tables."""
        return {name: getattr(self, name) for name in self.columns()}

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the fields of a row, in their order."""
        return [each.name for each in fields(cls) if each.name != "maps"]


def meaning_of(patches: int | None, patch: PatchSpec, image_px: tuple[int, int]) -> str:
    """What it means that an image is certified for so many patches, ``n`` if not given (docs/theory.md, section 8)."""
    shapes = " or ".join(f"{height}x{width}" for height, width in patch.shapes_px(image_px))
    count = "n patches" if patches is None else f"{patches} patch{'' if patches == 1 else 'es'}"
    return (
        f"every image that differs from this one in at most {count} of at most {shapes} px gets this label, including "
        "the clean original if this image was patched; it does not say that the label is correct"
    )
