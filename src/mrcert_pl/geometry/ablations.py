"""Ablations for votes: each shows a band of the image and hides the rest (docs/theory.md, section 12)."""

from functools import cached_property
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry.patch import PatchSpec

AblationKind = Literal["column", "row", "both", "block"]

# Largest number of entries of the table (touched set, vote).
_MOST_ENTRIES = 1 << 28


class Ablations:
    """The ablations of (de)randomised smoothing, as mutants of an image (Levine and Feizi 2020; S-ViT, Salman 2022).

    The windows are the *bands* of the image: its pixel rows first, then its pixel columns. A pixel is visible if
    neither its row nor its column is hidden. The first mutant hides nothing; every further one is a vote:

    - ``column``: shows ``width`` neighbouring pixel columns (the MRCert paper's choice);
    - ``row``: shows ``width`` neighbouring pixel rows;
    - ``both``: the row votes, then the column votes;
    - ``block``: shows a square of ``width`` px, offsets from the top left to the bottom right.

    Votes start at every ``stride``-th pixel, 0 first, and wrap around the border of the image.

    Args:
        image_px: ``(height, width)`` of the image in pixels.
        width: width of a band, or side of a block, in pixels.
        stride: distance of neighbouring offsets in pixels.
        kind: visible part of a vote, one of :data:`AblationKind`.

    Attributes:
        hidden: hidden bands of each mutant.
        windows: number of bands.
        votes: number of votes, ``len(self) - 1``.

    Raises:
        ConfigurationError: for an unknown kind, or a width or stride that doesn't fit the image.
    """

    def __init__(
        self, image_px: tuple[int, int] = (224, 224), width: int = 19, stride: int = 1, kind: str = "column"
    ) -> None:
        if kind not in get_args(AblationKind):
            raise unknown("kind of ablation", kind, get_args(AblationKind))
        height_px, width_px = image_px
        sides = {"column": [width_px], "row": [height_px]}.get(kind, [height_px, width_px])
        for name, value in (("width", width), ("stride", stride)):
            if not 1 <= value <= min(sides):
                raise ConfigurationError(f"the {name} of ablations must be from 1 to {min(sides)} px, not {value}")
        self.image_px = (height_px, width_px)
        self.width = width
        self.stride = stride
        self.kind = kind
        rows, columns = (_bands(side, width, stride) for side in image_px)
        if kind == "block":
            parts = [(rows.repeat_interleave(len(columns), 0), columns.repeat(len(rows), 1))]
        else:
            parts = [(rows, _nothing(len(rows), width_px)), (_nothing(len(columns), height_px), columns)]
            parts = {"row": parts[:1], "column": parts[1:], "both": parts}[kind]
        parts = [(_nothing(1, height_px), _nothing(1, width_px)), *parts]
        self.hidden: Bool[Tensor, "mutant band"] = torch.cat([torch.cat(part, 1) for part in parts])
        self.windows = height_px + width_px
        self.votes = len(self.hidden) - 1

    def __len__(self) -> int:
        return len(self.hidden)

    def summary(self) -> dict[str, Any]:
        """Plain values for results: kind, width and stride in px, number of votes."""
        return {"ablations": self.kind, "width": self.width, "stride": self.stride, "votes": self.votes}

    def identity(self) -> dict[str, Any]:
        """Plain values that determine these mutants."""
        return {**self.summary(), "image_px": list(self.image_px)}


class PatchedAblations:
    """Ablations with the sets of votes that a patch can touch.

    A patch touches a vote if it covers a pixel that the vote shows. The *touched sets* are the distinct sets of votes
    that a placement touches, over all placements in the image.

    Args:
        ablations: mutants.
        patch: patch of one or several shapes.

    Attributes:
        delta: size of the largest touched set. For ``column`` and a patch of ``p`` px it is
            ``ceil((p + width - 1) / stride)`` if the stride divides the width of the image (and never more than all);
            otherwise the last and the first offset are closer neighbours than the others, and it can be one more.

    Raises:
        ConfigurationError: for a patch larger than the image.
    """

    def __init__(self, ablations: Ablations, patch: PatchSpec) -> None:
        self.ablations = ablations
        self.patch = patch
        self.hidden = ablations.hidden
        self.windows = ablations.windows
        height_px = ablations.image_px[0]
        shown = ~ablations.hidden[1:]
        shapes = patch.shapes_px(ablations.image_px)
        # Patch and visible part are rectangles: they intersect if they do along both axes.
        self._touched = [(_meets(shown[:, :height_px], h), _meets(shown[:, height_px:], w)) for h, w in shapes]
        self.delta = max(int((rows.double() @ columns.double().T).max()) for rows, columns in self._touched)

    def __len__(self) -> int:
        return len(self.ablations)

    def __repr__(self) -> str:
        votes = self.ablations
        return f"PatchedAblations({votes.votes} {votes.kind} votes of {votes.width} px, stride {votes.stride} px)"

    @cached_property
    def touched(self) -> Bool[Tensor, "set vote"]:
        """The touched sets.

        Raises:
            ConfigurationError: if there are too many.
        """
        if (entries := sum(len(r) * len(c) for r, c in self._touched) * self.ablations.votes) > _MOST_ENTRIES:
            raise ConfigurationError(
                f"{self.ablations.kind} ablations of stride {self.ablations.stride} px have too many placements and "
                f"votes to list ({entries:,} pairs); take a larger model.stride, or defender=vot, which only counts"
            )
        sets = [(rows[:, None] & columns).flatten(0, 1) for rows, columns in self._touched]
        return torch.cat(sets).unique(dim=0)

    def summary(self) -> dict[str, Any]:
        """Plain values for results: those of the ablations, and the largest number of touched votes."""
        return {**self.ablations.summary(), "delta": self.delta}

    def identity(self) -> dict[str, Any]:
        """Plain values that determine these mutants; they don't depend on the patch."""
        return self.ablations.identity()


def _bands(side: int, width: int, stride: int) -> Bool[Tensor, "offset px"]:
    """Pixels outside a band of ``width`` px that starts at the offset and wraps around."""
    offsets = torch.arange(0, side, stride)
    return (torch.arange(side) - offsets[:, None]) % side >= width


def _nothing(count: int, side: int) -> Bool[Tensor, "count side"]:
    return torch.zeros(count, side, dtype=torch.bool)


def _meets(shown: Bool[Tensor, "vote px"], patch: int) -> Bool[Tensor, "set vote"]:
    """Distinct sets of votes that ``patch`` neighbouring pixels touch, over all their offsets."""
    return shown.unfold(1, patch, 1).any(2).T.unique(dim=0)
