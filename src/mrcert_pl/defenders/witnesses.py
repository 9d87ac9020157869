"""The parts of MRCert's rules: witnesses, and what an attacker can forge (docs/theory.md, sections 3, 8 and 9).

Mutants are the columns of a lattice. ``join[S, T]`` is the column of ``S | T``, and ``inside[R, mutant]`` says whether
the mutant hides all of ``R``.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.defenders.base import check_margin, check_most
from mrcert_pl.defenders.outputs import OutputLevel
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

# Entries of one comparison over (image, S, T) or (image, R, mutant): bounds the memory of a decision.
_CHUNK = 1 << 25
# The same for locations that are looked at until one is not safe.
_PART = 1 << 22


def check_settings(patches: object, margin: object) -> None:
    """Validate the number of patches and the margin of MRCert.

    Raises:
        ConfigurationError: unless there are one to 100 patches and the margin is not negative.
    """
    if isinstance(patches, bool) or not isinstance(patches, int) or patches < 1:
        raise ConfigurationError(f"MRCert needs a whole number of patches, at least one patch, not {patches!r}")
    check_most(patches)
    check_margin(margin)


def in_parts(table: PredictionTable[UnionLattice], patches: int) -> list[PredictionTable[UnionLattice]]:
    """Split a table so that comparisons over ``S`` and ``T`` of ``patches`` masks fit into memory."""
    step = max(1, _CHUNK // table.mutants.size(patches) ** 2)
    labels = table.labels.split(step)
    margins, log_odds = (
        [None] * len(labels) if part is None else part.split(step) for part in (table.margins, table.log_odds)
    )
    return [PredictionTable(table.mutants, *part) for part in zip(labels, margins, log_odds, strict=True)]


def trusted(table: PredictionTable[UnionLattice], margin: float) -> Bool[Tensor, "image mutant"]:
    """Entries that a certificate with this margin may use: evaluated, with a margin above the threshold."""
    return table.evaluated & table.above(margin)


def witnesses(
    labels: Int[Tensor, "image mutant"], join: Int[Tensor, "S T"], optimistic: bool = False
) -> Bool[Tensor, "image S"]:
    """Whether no ``T`` changes the label of ``S`` (Definition 5).

    A missing label does, unless ``optimistic`` (Definition 13).
    """
    entries = labels[:, join]
    # An evaluated label, if there is any: NOT_EVALUATED is below all labels.
    label = entries.amax(2, keepdim=True)
    same = entries == label
    if optimistic:
        return (same | (entries == NOT_EVALUATED)).all(2)
    return same.all(2) & (label[:, :, 0] != NOT_EVALUATED)


def certain(
    entries: Bool[Tensor, "image mutant"],
    labels: Int[Tensor, "image mutant"],
    label: Int[Tensor, " image"],
    join: Int[Tensor, "S T"],
) -> Bool[Tensor, "image S"]:
    """Whether ``S`` has the label with every ``T``, by trusted ``entries``."""
    return (entries & (labels == label[:, None]))[:, join].all(2)


def covered(found: Bool[Tensor, "image S"], inside: Bool[Tensor, "R mutant"]) -> Bool[Tensor, "image R"]:
    """Whether ``R`` lies inside one of the sets ``S`` that were found."""
    return found.float() @ inside[:, : found.shape[1]].float().T > 0


def forgeable(
    entries: Bool[Tensor, "image mutant"],
    labels: Int[Tensor, "image mutant"],
    label: Int[Tensor, " image"],
    join: Int[Tensor, "S T"],
    inside: Bool[Tensor, "R mutant"],
    queried: Bool[Tensor, "image R"],
) -> Bool[Tensor, "image R"]:
    """Whether an attacker under ``R`` can forge a witness with another label (Definition 9).

    That takes an ``S`` whose trusted entries that hide ``R``, if there are any, have one label other than ``label``.

    Args:
        entries: trusted entries; all others are controlled by the attacker.
        labels: labels of the mutants.
        label: label of the verdict.
        join: columns of ``S | T``.
        inside: which mutants hide ``R``.
        queried: pairs to answer; the answer is false elsewhere.
    """
    forged = torch.zeros_like(queried)
    for pairs in queried.nonzero().split(max(1, _CHUNK // inside.shape[1])):
        images, locations = pairs.T
        fixed = entries[images] & inside[locations]
        good = fixed & (labels[images] == label[images, None])
        # A fixed entry with the label itself settles nearly all pairs and S; with none at all, anything can be forged.
        open_sets = _entries(join, good) == 0
        free = open_sets & (_entries(join, fixed) == 0)
        forged[images, locations] = free.any(1)
        open_sets &= ~free.any(1, keepdim=True)
        for found in open_sets.nonzero().split(max(1, _CHUNK // join.shape[1])):
            pair, columns = found[:, 0], join[found[:, 1]]
            known, values = fixed[pair[:, None], columns], labels[images[pair, None], columns]
            lowest = values.where(known, torch.iinfo(values.dtype).max).amin(1)
            highest = values.where(known, NOT_EVALUATED).amax(1)
            one = pair[lowest == highest]
            forged[images[one], locations[one]] = True
    return forged


def parts(size: int, lattice: UnionLattice, images: int) -> list[slice]:
    """Split the first ``size`` locations ``R`` into ranges that fit into memory, single masks apart from unions."""
    step, single = max(1, _PART // (len(lattice) * max(images, 1))), min(size, lattice.size(1))
    starts = [*range(0, single, step), *range(single, size, step)]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], size], strict=True)]


def _entries(join: Int[Tensor, "S T"], marked: Bool[Tensor, "pair mutant"]) -> Float[Tensor, "pair S"]:
    """Number of marked entries ``S | T`` of every ``S``."""
    first = torch.arange(0, join.numel(), join.shape[1], device=join.device)
    # Mode 0 is the sum over the rows that each S names.
    return torch.embedding_bag(marked.T.float().contiguous(), join.flatten(), first, mode=0)[0].T


def certificates(
    safe: Callable[[float, int], Bool[Tensor, "image R"]],
    lattice: UnionLattice,
    patches: int,
    margin: float,
    output: OutputLevel,
) -> dict[str, Tensor]:
    """Return the fields of :class:`Verdicts` that follow from the safe locations (Theorems 7, 8, 10, 11 and 12).

    Args:
        safe: from a margin and a largest number of masks to the safe locations: whether a patch inside ``R`` can't
            change the label, by entries with a larger margin, for every ``R`` in the order of the lattice.
        lattice: lattice of the locations ``R``.
        patches: largest number of patches to certify.
        margin: margin of the certificate; a round trip needs twice as much (Theorem 6).
        output: requested outputs; higher fields may be too small.
    """
    most = output.patches(patches)
    here = safe(margin, most)
    certified = _certified_patches(here, lattice, most)
    twice = certified if margin == 0 else _certified_patches(safe(2 * margin, most), lattice, most)
    return {
        "certified": certified >= 1,
        "round_trip": twice >= 2,
        "certified_patches": certified,
        "safe_masks": here[:, 1 : lattice.size(1)],
    }


def _certified_patches(safe: Bool[Tensor, "image R"], lattice: UnionLattice, most: int) -> Int[Tensor, " image"]:
    """Largest number of masks, at most ``most``, up to which all locations are safe; -1 if none is."""
    certified = torch.full((len(safe),), -1, device=safe.device)
    for masks in range(most + 1):
        certified = torch.where(safe[:, : lattice.size(masks)].all(1), masks, certified)
    return certified
