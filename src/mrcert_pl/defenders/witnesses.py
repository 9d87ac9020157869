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


def entries_around(join: Int[Tensor, "S T"], mutants: int) -> Float[Tensor, "S mutant"]:
    """1 where the mutant is ``S | T`` for some ``T``, else 0."""
    return torch.zeros(len(join), mutants, device=join.device).scatter_(1, join, 1.0)


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
    around = entries_around(join, labels.shape[1]).T
    for images in queried.any(1).nonzero()[:, 0].split(max(1, _CHUNK // inside.numel())):
        fixed = entries[images, None] & inside
        good = labels[images] == label[images, None]
        # A fixed entry with the label itself settles nearly all R and S; only the others are looked through.
        open_sets = queried[images, :, None] & ((fixed & good[:, None]).float() @ around == 0)
        for found in open_sets.nonzero().split(max(1, _CHUNK // join.shape[1])):
            image, location, columns = found[:, 0], found[:, 1], join[found[:, 2]]
            known, values = fixed[image[:, None], location[:, None], columns], labels[images[image, None], columns]
            lowest = values.where(known, torch.iinfo(values.dtype).max).amin(1)
            highest = values.where(known, NOT_EVALUATED).amax(1)
            one = lowest >= highest
            forged[images[image[one]], location[one]] = True
    return forged


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
