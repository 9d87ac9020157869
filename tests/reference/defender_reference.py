"""The defenders as their papers state them: plain loops over tuples of masks, sharing nothing with the package.

A table is a mapping ``p`` from the union of masks (a bitset) to the label of that mutant; ``p[0]`` is ``f(x)``. Tuples
are ordered and with replacement, so those of ``k`` masks also hide whatever fewer masks do, if at least one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations, product
from typing import Any

Labels = Mapping[int, Any]
Masks = Sequence[int]


def unions(masks: Masks, count: int) -> Iterator[int]:
    """What each tuple of ``count`` masks hides."""
    for chosen in product(masks, repeat=count):
        hidden = 0
        for mask in chosen:
            hidden |= mask
        yield hidden


def stable(p: Labels, base: int, masks: Masks, count: int) -> bool:
    """No ``count`` further masks change the label with ``base`` hidden."""
    return all(p[base | further] == p[base] for further in unions(masks, count))


def mrcert_inference(p: Labels, masks: Masks) -> tuple[Any, int]:
    """Label and case of MRCert against two patches."""
    if all(p[m1 | m2] == p[0] for m1, m2 in product(masks, repeat=2)):
        return p[0], 1
    for m1 in masks:
        if all(p[m1 | m2 | m3] == p[m1] for m2, m3 in product(masks, repeat=2)):
            return p[m1], 2
    for m1, m2 in permutations(masks, 2):
        if all(p[m1 | m2 | m3 | m4] == p[m1 | m2] for m3, m4 in product(masks, repeat=2)):
            return p[m1 | m2], 3
    return p[0], 4


def lemma_1(p: Labels, masks: Masks) -> bool:
    return all(p[m1 | m2 | m3] == p[0] for m1, m2, m3 in product(masks, repeat=3))


def lemma_2(p: Labels, masks: Masks) -> bool:
    return any(all(p[m1 | m2 | m3 | m4] == p[m1] for m2, m3, m4 in product(masks, repeat=3)) for m1 in masks)


def mrcert_certified(p: Labels, masks: Masks) -> bool:
    return lemma_1(p, masks) or lemma_2(p, masks)


def mrcert_round_trip(p: Labels, masks: Masks) -> bool:
    return all(p[m1 | m2 | m3 | m4] == p[0] for m1, m2, m3, m4 in product(masks, repeat=4))


def general_inference(p: Labels, masks: Masks, patches: int) -> tuple[Any, int]:
    """Label and case of MRCert against ``patches`` patches."""
    for size in range(patches + 1):
        for witness in unions(masks, size):
            if stable(p, witness, masks, patches):
                return p[witness], size + 1
    return p[0], patches + 2


def general_certified(p: Labels, masks: Masks, patches: int) -> bool:
    return any(stable(p, witness, masks, patches + 1) for size in range(patches) for witness in unions(masks, size))


def general_round_trip(p: Labels, masks: Masks, patches: int) -> bool:
    return patches >= 2 and stable(p, 0, masks, 2 * patches)


def majority(labels: Sequence[int]) -> int:
    """The most frequent label, ties to the smallest."""
    most = max(labels.count(label) for label in labels)
    return min(label for label in labels if labels.count(label) == most)


def patchcure_inference(p: Labels, masks: Masks, reference: str) -> tuple[int, int]:
    """Label and case of double masking with the reference label ``original`` or ``majority``."""
    expected = p[0] if reference == "original" else majority([p[m1] for m1 in masks])
    if all(p[m1] == expected for m1 in masks):
        return expected, 1
    for m1 in masks:
        if p[m1] != expected and all(p[m1 | m2] == p[m1] for m2 in masks):
            return p[m1], 2
    return expected, 3


def patchcure_certified(p: Labels, masks: Masks) -> bool:
    """One label with one or two masks, whatever the reference."""
    return len({p[m1 | m2] for m1, m2 in product(masks, repeat=2)}) == 1


def sets_upto(masks: Masks, count: int) -> list[int]:
    """The distinct unions of at most ``count`` masks."""
    return sorted({hidden for size in range(count + 1) for hidden in unions(masks, size)})


def inside(small: int, large: int) -> bool:
    return small & ~large == 0


def sharp_safe(p: Labels, masks: Masks, patches: int, place: int) -> bool:
    """``place`` lies inside a witness."""
    sets = sets_upto(masks, patches)
    return any(inside(place, s) and all(p[s | t] == p[s] for t in sets) for s in sets)


def cascade_inference(p: Labels, masks: Masks, patches: int) -> tuple[Any, int]:
    """Label and level of the cascade, 0 if no level has a witness."""
    for level in range(patches, 0, -1):
        sets = sets_upto(masks, level)
        for s in sets:
            if all(p[s | t] == p[s] for t in sets):
                return p[s], level
    return p[0], 0


def cascade_safe(p: Labels, masks: Masks, patches: int, place: int, counts: Callable[[int], bool]) -> bool:
    """The condition of the cascade's certificate for one ``place``, by the entries that count."""
    label, _ = cascade_inference(p, masks, patches)
    for level in range(patches, 0, -1):
        sets = sets_upto(masks, level)
        if any(inside(place, s) and all(p[s | t] == label and counts(s | t) for t in sets) for s in sets):
            return True
        for s in sets:
            fixed = {p[s | t] for t in sets if inside(place, s | t) and counts(s | t)}
            if not fixed or (len(fixed) == 1 and label not in fixed):
                return False
    return False


def largest_certified(safe: Callable[[int], bool], masks: Masks, patches: int) -> int:
    """The largest number of patches with all places safe; -1 if not even no patch is."""
    fits = [all(safe(place) for place in sets_upto(masks, count)) for count in range(patches + 1)]
    return max((count for count, fit in enumerate(fits) if fit), default=-1)
