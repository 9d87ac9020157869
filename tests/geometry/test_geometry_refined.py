"""Refined unions: closures by the definition in sets, and columns that are prefixes of each other."""

from itertools import product

import pytest
import torch

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice, covering_masks
from mrcert_pl.geometry.refined import RefinedUnions, check_nested, closures, nested_strides

TOKENS = {"grid": (8, 8), "window_px": (4, 4), "patch": PatchSpec(5)}


def levels(order: int, *strides: int) -> list[UnionLattice]:
    return [covering_lattice(**TOKENS, order=order, stride=stride) for stride in strides]


def members(column_hidden: torch.Tensor) -> frozenset[int]:
    return frozenset(column_hidden.nonzero()[:, 0].tolist())


def closure_by_definition(union: frozenset[int], order: int, coarse: UnionLattice) -> frozenset[int]:
    """All unions of at most ``order`` coarse masks, by all choices of the masks."""
    masks = [members(row) for row in coarse.hidden[1 : coarse.size(1)]]
    found = [frozenset().union(*chosen) for count in range(order + 1) for chosen in product(masks, repeat=count)]
    containing = [candidate for candidate in found if union <= candidate]
    return min(containing, key=len)


@pytest.mark.parametrize("order", [1, 2])
def test_closures_are_the_smallest_unions_that_contain(order: int) -> None:
    coarse, fine = levels(order, 4, 2)
    found = closures(fine, coarse)
    assert len(found) == len(fine)
    for union, column in enumerate(found.tolist()):
        inner, outer = members(fine.hidden[union]), members(coarse.hidden[column])
        assert inner <= outer
        assert coarse.orders[column] <= fine.orders[union]
        assert len(outer) == len(closure_by_definition(inner, int(fine.orders[union]), coarse))


def test_equal_sets_have_one_column_and_every_union_its_path() -> None:
    coarse, fine = levels(2, 4, 2)
    mutants = RefinedUnions([coarse, fine], 0.5)
    rows = [tuple(row) for row in mutants.hidden.int().tolist()]
    assert len(set(rows)) == len(rows) == len(mutants)
    assert set(rows) == {tuple(row) for level in (coarse, fine) for row in level.hidden.int().tolist()}
    assert mutants.hidden[0].sum() == 0
    assert torch.equal(mutants.hidden[mutants.path[:, -1]], fine.hidden)
    assert torch.equal(mutants.hidden[mutants.path[:, 0]], coarse.hidden[closures(fine, coarse)])
    assert torch.equal(mutants.visible, (~mutants.hidden).sum(1))
    assert (mutants.hidden[mutants.path[:, 0]] | ~mutants.hidden[mutants.path[:, 1]]).all()


def test_parents_are_one_level_above() -> None:
    mutants = RefinedUnions(levels(2, 4, 2, 1), 0.5)
    assert (mutants.parent[mutants.coarsest] == -1).all()
    assert int(mutants.coarsest.sum()) == len(mutants.levels[0])
    below = (~mutants.coarsest).nonzero()[:, 0]
    assert (mutants.parent[below] >= 0).all()
    steps = {pair for path in mutants.path.tolist() for pair in zip(path[1:], path, strict=False)}
    assert set(zip(below.tolist(), mutants.parent[below].tolist(), strict=True)) <= steps


def test_columns_of_a_lower_order_are_a_prefix() -> None:
    low, high = (RefinedUnions(levels(order, 4, 2), 0.5) for order in (1, 2))
    assert len(low) < len(high)
    assert torch.equal(high.hidden[: len(low)], low.hidden)
    assert torch.equal(high.path[: len(low.finest)], low.path)
    assert low.identity() == high.identity()


def test_identity_tells_masks_and_thresholds_apart() -> None:
    one = RefinedUnions(levels(1, 4, 2), 0.5).identity()
    assert one != RefinedUnions(levels(1, 4, 2), 0.6).identity()
    assert one != RefinedUnions(levels(1, 6, 2), 0.5).identity()
    assert one != levels(1, 2)[0].identity()
    assert set(one) == {"windows", "masks", "coarser", "threshold"}
    three = RefinedUnions(levels(1, 4, 2, 1), 0.5).identity()
    assert three != RefinedUnions(levels(1, 4, 1), 0.5).identity()
    assert three["coarser"] == [level.identity()["masks"] for level in levels(1, 4, 2)]


def test_the_published_numbers_of_tokens() -> None:
    """14x14 tokens, 32 px: 256 unions of stride 4 are the closures of 63,680 of stride 2."""
    coarse, fine = (covering_lattice((14, 14), (16, 16), PatchSpec(32), 4, stride) for stride in (4, 2))
    mutants = RefinedUnions([coarse, fine], 0.5)
    assert (len(coarse), len(fine)) == (256, 63_680)
    assert len(mutants.path[:, 0].unique()) == 256
    assert mutants.summary()["columns"] == len(mutants) == 256 + 63_680 - 10


@pytest.mark.parametrize(
    ("strides", "threshold", "message"),
    [
        ((2,), 0.5, "at least two sizes"),
        ((4, 2), 1.0, "between 0 and 1"),
        ((4, 2), 0.0, "between 0 and 1"),
        ((3, 2), 0.5, "lies inside none"),
    ],
)
def test_bad_levels(strides: tuple[int, ...], threshold: float, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RefinedUnions(levels(1, *strides), threshold)


def test_levels_of_other_orders() -> None:
    with pytest.raises(ConfigurationError, match="same order"):
        RefinedUnions([*levels(1, 4), *levels(2, 2)], 0.5)


def test_what_nests() -> None:
    masks = {
        stride: covering_masks(TOKENS["grid"], TOKENS["window_px"], TOKENS["patch"], stride) for stride in range(1, 7)
    }
    expected = []
    for stride in range(3, 7):
        inside = all(any(mask & ~larger == 0 for larger in masks[stride]) for mask in masks[2])
        if inside and len(masks[stride]) < len(masks[2]):
            expected.append(stride)
    assert nested_strides(masks, 2) == expected
    assert 4 in expected
    assert 3 not in expected
    with pytest.raises(ConfigurationError, match="mask 1 of 2"):
        check_nested([0b1, 0b110], [0b11])
