"""Validation images for data sets without: a fixed part of the training images."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from mrcert_pl.data.records import Record

# Part of the data sets, not of a run: the validation images are the same for every seed of a run.
_SPLIT_SEED = 0


def held_out(
    training: Sequence[Record], fraction: float, group: Callable[[str], str] = lambda path: path
) -> tuple[list[Record], list[Record]]:
    """Split training images, class by class, into those to train on and those to validate on.

    The hash of a group's name, without suffix, decides: the choice is the same on every machine, and for an image
    whatever other images there are. A class with more than one group has at least one on either side.

    Args:
        training: All training images.
        fraction: Fraction of the groups of each class to hold out.
        group: Group of a path. Images of one group, such as frames of one video, stay together.
    """

    def name(record: Record) -> str:
        return str(PurePosixPath(group(record.path)).with_suffix(""))

    groups: dict[int, set[str]] = defaultdict(set)
    for record in training:
        groups[record.label].add(name(record))
    chosen: set[tuple[int, str]] = set()
    for label, names in groups.items():
        size = min(max(1, round(fraction * len(names))), len(names) - 1)
        chosen.update((label, each) for each in sorted(names, key=_hash)[:size])
    split: tuple[list[Record], list[Record]] = ([], [])
    for record in training:
        split[(record.label, name(record)) in chosen].append(record)
    return split


def _hash(name: str) -> bytes:
    return hashlib.sha256(f"{_SPLIT_SEED}:{name}".encode()).digest()
