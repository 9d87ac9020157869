"""What the rules of MRCert are made of: witnesses, and what an attacker can forge (docs/theory.md, sections 3, 8, 9).

All functions take tensors whose columns are those of a lattice. ``join[S, T]`` is the column of ``S | T``, and
``inside[R, mutant]`` tells whether the mutant hides all of ``R``.
"""

from collections.abc import Callable

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.defenders.base import check_margin
from mrcert_pl.defenders.outputs import OutputLevel
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

# Entries of one comparison over (image, S, T) or (image, R, mutant): bounds the memory of a decision.
_CHUNK = 1 << 25


def check_settings(patches: int, margin: float) -> None:
    """Check what all defenders of the family are built with.

    Raises:
        ConfigurationError: unless there is at least one patch and the margin is not negative.
    """
    if isinstance(patches, bool) or not isinstance(patches, int) or patches < 1:
        raise ConfigurationError(f"MRCert needs a whole number of patches, at least one patch, not {patches!r}")
    check_margin(margin)


def in_parts(table: PredictionTable[UnionLattice], patches: int) -> list[PredictionTable[UnionLattice]]:
    """So few images at a time that comparisons over ``S`` and ``T`` of ``patches`` masks fit into memory."""
    step = max(1, _CHUNK // table.mutants.size(patches) ** 2)
    labels, margins = table.labels.split(step), table.margins
    parts = zip(labels, [None] * len(labels) if margins is None else margins.split(step), strict=True)
    return [PredictionTable(table.mutants, *part) for part in parts]


def counted(table: PredictionTable, margin: float) -> BoolTensor:
    """``[image, mutant]``: known entries that count inside a certificate with this margin."""
    return table.evaluated & table.above(margin)  # type: ignore[return-value]


def witnesses(labels: Tensor, join: Tensor, optimistic: bool = False) -> BoolTensor:
    """``[image, S]``: whether no ``T`` changes the label of ``S`` (Definition 5).

    A label that is not known does, but with ``optimistic`` it doesn't (Definition 13).
    """
    entries = labels[:, join]
    # One that is known, if any is: NOT_EVALUATED is below all labels.
    label = entries.amax(2, keepdim=True)
    same = entries == label
    if optimistic:
        return (same | (entries == NOT_EVALUATED)).all(2)  # type: ignore[return-value]
    return same.all(2) & (label[:, :, 0] != NOT_EVALUATED)  # type: ignore[return-value]


def certain(counted: Tensor, labels: Tensor, label: Tensor, join: Tensor) -> BoolTensor:
    """``[image, S]``: whether ``S`` has the label with every ``T``, by entries that count."""
    return (counted & (labels == label[:, None]))[:, join].all(2)  # type: ignore[return-value]


def covered(found: Tensor, inside: Tensor) -> BoolTensor:
    """``[image, R]``: whether ``R`` lies inside a set ``S`` that was found, from ``[image, S]``."""
    return found.float() @ inside[:, : found.shape[1]].float().T > 0  # type: ignore[return-value]


def entries_around(join: Tensor, mutants: int) -> Tensor:
    """Float ``[S, mutant]``: 1 where the mutant is ``S | T`` for some ``T``, else 0."""
    return torch.zeros(len(join), mutants, device=join.device).scatter_(1, join, 1.0)


def forgeable(
    counted: Tensor, labels: Tensor, label: Tensor, join: Tensor, inside: Tensor, asked: Tensor
) -> BoolTensor:
    """``[image, R]``: whether an attacker under ``R`` can make a witness with another label (Definition 9).

    That takes an ``S`` whose entries that hide ``R`` and count, if there are any, have one label other than ``label``.

    Args:
        counted: ``[image, mutant]``, entries that count; the attacker may have the others.
        labels: ``[image, mutant]``.
        label: ``[image]``.
        join: ``[S, T]``.
        inside: ``[R, mutant]``.
        asked: ``[image, R]``, what to answer; elsewhere the answer is false.
    """
    forged = torch.zeros_like(asked)
    around = entries_around(join, labels.shape[1]).T
    for images in asked.any(1).nonzero()[:, 0].split(max(1, _CHUNK // inside.numel())):
        fixed = counted[images, None] & inside
        good = labels[images] == label[images, None]
        # A fixed entry with the label itself settles nearly all R and S; only the others are looked through.
        open_sets = asked[images, :, None] & ((fixed & good[:, None]).float() @ around == 0)
        for found in open_sets.nonzero().split(max(1, _CHUNK // join.shape[1])):
            image, place, entries = found[:, 0], found[:, 1], join[found[:, 2]]
            known, values = fixed[image[:, None], place[:, None], entries], labels[images[image, None], entries]
            lowest = values.where(known, torch.iinfo(values.dtype).max).amin(1)
            highest = values.where(known, NOT_EVALUATED).amax(1)
            one = lowest >= highest
            forged[images[image[one]], place[one]] = True
    return forged  # type: ignore[return-value]


def certificates(
    safe: Callable[[float, int], BoolTensor], lattice: UnionLattice, patches: int, margin: float, output: OutputLevel
) -> dict[str, Tensor]:
    """The fields of :class:`Verdicts` that follow from where an image is safe (Theorems 7, 8, 10, 11 and 12).

    Args:
        safe: from a margin and a number of masks to ``[image, R]``: the label stays if at most all of ``R`` is patched,
            by entries with a larger margin; ``R`` in the order of the lattice, up to so many masks.
        lattice: the lattice of the ``R``.
        patches: the largest number of patches to certify.
        margin: of the certificate; a round trip needs twice as much (Theorem 6).
        output: fields beyond it are of no use.
    """
    most = output.patches(patches)

    def withstood(places: Tensor) -> Tensor:
        return torch.stack([places[:, : lattice.size(r)].all(1) for r in range(most + 1)]).sum(0) - 1

    here = safe(margin, most)
    certified = withstood(here)
    return {
        "certified": certified >= 1,
        "round_trip": (certified if margin == 0 else withstood(safe(2 * margin, most))) >= 2,
        "certified_patches": certified,
        "safe_masks": here[:, 1 : lattice.size(1)],
    }
