from functools import reduce
from itertools import combinations_with_replacement
from operator import or_

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice, covering_masks, unions

COLUMNS = ((1, 14), (224, 16))
TOKENS = ((14, 14), (16, 16))


def tuples_of_masks(masks, order):
    """Unions of all tuples of ``order`` masks, repetitions included: what a direct implementation enumerates."""
    return {reduce(or_, chosen, 0) for chosen in combinations_with_replacement(masks, order)}


def check_against_tuples(lattice):
    by_order = [tuples_of_masks(lattice.masks, order) for order in range(lattice.order + 1)]
    needed = {union: min(k for k, made in enumerate(by_order) if union in made) for union in set().union(*by_order)}

    assert len(lattice) == len(lattice.unions) == len(needed)
    assert dict(zip(lattice.unions, lattice.orders.tolist(), strict=True)) == needed
    assert lattice.unions[0] == 0
    for order in range(lattice.order + 1):
        columns = range(lattice.size(order))
        assert {lattice.unions[column] for column in columns} == {
            u for u, minimal in needed.items() if minimal <= order
        }
    for column, union in enumerate(lattice.unions):
        assert lattice.index(union) == column
        bits = [bool(union >> window & 1) for window in range(lattice.windows)]
        assert lattice.hidden[column].tolist() == bits
        assert lattice.visible[column] == lattice.windows - sum(bits)


@pytest.mark.parametrize(
    ("grid", "window_px", "patch", "stride", "order"),
    [
        ((1, 14), (224, 16), 16, 1, 3),
        ((1, 14), (224, 16), 32, 1, 4),
        ((1, 14), (224, 16), 32, 3, 3),
        ((3, 4), (8, 8), 1, 1, 2),
        ((4, 5), (8, 8), 8, 1, 3),
        ((5, 4), (8, 8), "1x9", (2, 1), 3),
        ((14, 14), (16, 16), 32, 4, 4),
        ((2, 5), (8, 8), 1, 1, 0),
    ],
)
def test_unions_are_those_of_all_tuples_of_masks(grid, window_px, patch, stride, order):
    check_against_tuples(covering_lattice(grid, window_px, PatchSpec(patch), order, stride))


@given(st.lists(st.integers(1, 2**10 - 1), min_size=1, max_size=5), st.integers(0, 4))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_unions_of_any_masks(masks, order):
    """Masks that repeat, contain each other or hide everything, and orders at which nothing new comes."""
    check_against_tuples(UnionLattice(masks, windows=10, order=order, allow_blind=True))


@given(st.lists(st.integers(1, 2**10 - 1), min_size=1, max_size=5), st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_join_is_the_column_of_the_union(masks, left, right):
    lattice = UnionLattice(masks, windows=10, order=left + right, allow_blind=True)
    join = lattice.join(left, right)
    assert join.shape == (lattice.size(left), lattice.size(right))
    for s in range(lattice.size(left)):
        for t in range(lattice.size(right)):
            assert lattice.unions[join[s, t]] == lattice.unions[s] | lattice.unions[t]


@given(st.lists(st.integers(1, 2**10 - 1), min_size=1, max_size=5), st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_mutants_that_contain_a_union(masks, order, more):
    lattice = UnionLattice(masks, windows=10, order=order + more, allow_blind=True)
    expected = [
        [mutant & union == union for mutant in lattice.unions] for union in lattice.unions[: lattice.size(order)]
    ]
    assert lattice.containing(order).tolist() == expected


def test_join_beyond_the_order_is_refused():
    lattice = covering_lattice(*COLUMNS, PatchSpec(32), order=3)
    lattice.join(1, 2)
    lattice.join(0, 3)
    with pytest.raises(ConfigurationError, match="need a lattice of order 4; this one has 3"):
        lattice.join(2, 2)


@pytest.mark.parametrize(
    ("patch", "distinct", "visible"),
    [
        (16, (13, 91, 356, 890), (12.0, 10.4, 8.9, 7.6)),
        (32, (12, 78, 247, 438), (11.0, 8.9, 6.9, 5.7)),
    ],
)
def test_known_unions_of_columns(patch, distinct, visible):
    """The table of the theory's section on cost, which leaves out the empty union."""
    lattice = covering_lattice(*COLUMNS, PatchSpec(patch), order=4)
    for order, (unions_of_order, mean_visible) in enumerate(zip(distinct, visible, strict=True), start=1):
        assert lattice.size(order) == unions_of_order + 1
        assert lattice.visible[1 : lattice.size(order)].float().mean().item() == pytest.approx(mean_visible, abs=0.05)


@pytest.mark.parametrize(
    ("stride", "sizes", "visible"),
    [
        (2, (1, 37, 667, 7723, 63_680), (196, 180.0, 165.1, 151.1, 137.8)),
        (3, (1, 17, 137, 697, 2517), (196, 171.0, 148.6, 128.5, 110.6)),
        (4, (1, 10, 46, 130, 256), (196, 160.0, 128.9, 101.9, 78.4)),
    ],
)
def test_known_unions_of_tokens(stride, sizes, visible):
    """Mean number of visible tokens of the unions of exactly this order."""
    lattice = covering_lattice(*TOKENS, PatchSpec(32), order=4, stride=stride)
    assert tuple(lattice.size(order) for order in range(5)) == sizes
    for order, mean_visible in enumerate(visible):
        exactly = lattice.visible[lattice.orders == order].float()
        assert exactly.mean().item() == pytest.approx(mean_visible, abs=0.05)


def test_more_windows_than_a_machine_word_has_bits():
    masks = covering_masks(*TOKENS, PatchSpec(32), stride=4)
    first, last = masks[0], masks[-1]
    lattice = UnionLattice([first, last], windows=196, order=2)
    assert lattice.unions == (0, first, last, first | last)
    hidden = lattice.hidden.view(4, 14, 14)
    assert hidden[1].nonzero().tolist() == [[row, column] for row in range(6) for column in range(6)]
    assert hidden[2].nonzero().tolist() == [[row, column] for row in range(8, 14) for column in range(8, 14)]
    assert lattice.hidden[:, 195].tolist() == [False, False, True, True]
    assert lattice.index(1 << 195 | last) == 2
    assert lattice.visible.tolist() == [196, 160, 160, 124]


def test_attributes_have_the_documented_types():
    lattice = covering_lattice(*COLUMNS, PatchSpec(32), order=2)
    assert lattice.hidden.dtype == torch.bool
    assert lattice.orders.dtype == lattice.visible.dtype == lattice.join(1, 1).dtype == torch.long
    assert lattice.hidden.shape == (len(lattice), lattice.windows)


def test_a_union_that_needs_more_masks_has_no_column():
    lattice = covering_lattice((1, 6), (8, 8), PatchSpec(1), order=2)
    with pytest.raises(KeyError):
        lattice.index(0b111)


@pytest.mark.parametrize("order", [-1, 5])
def test_orders_outside_the_lattice_are_refused(order):
    lattice = covering_lattice(*COLUMNS, PatchSpec(32), order=4)
    for ask in (lattice.size,):
        with pytest.raises(ConfigurationError, match=f"orders 0 to 4, not {order}"):
            ask(order)


def test_unions_that_hide_everything_are_refused():
    """14x2 windows at 32 px: four masks of two columns hide all seven columns."""
    layout = ((1, 7), (224, 32), PatchSpec(32))
    assert len(covering_lattice(*layout, order=3)) > 1
    with pytest.raises(ConfigurationError, match=r"4 masks together can hide all 7 windows.*smaller patch"):
        covering_lattice(*layout, order=4)


def test_unions_that_hide_everything_can_be_asked_for():
    masks = covering_masks((1, 7), (224, 32), PatchSpec(32))
    lattice = UnionLattice(masks, windows=7, order=4, allow_blind=True)
    assert lattice.visible[lattice.index(0b111_1111)] == 0
    check_against_tuples(lattice)


def test_a_mask_that_hides_everything_is_refused_as_soon_as_it_is_used():
    assert len(UnionLattice([0b11], windows=2, order=0)) == 1
    with pytest.raises(ConfigurationError, match="hide all 2 windows"):
        UnionLattice([0b11], windows=2, order=1)


@pytest.mark.parametrize(
    ("masks", "windows", "order", "message"),
    [
        ([], 4, 1, "at least one mask"),
        ([0b0011, 0], 4, 1, "outside the grid of 4 windows"),
        ([0b0011, 0b10000], 4, 1, "outside the grid of 4 windows"),
        ([-1], 4, 1, "outside the grid of 4 windows"),
        ([0b0011], 4, -1, "order of a lattice must be at least 0, not -1"),
    ],
)
def test_masks_without_meaning_are_refused(masks, windows, order, message):
    with pytest.raises(ConfigurationError, match=message):
        UnionLattice(masks, windows, order)


def test_lattices_beyond_the_limit_are_refused(monkeypatch):
    layout = (*COLUMNS, PatchSpec(32), 4)
    monkeypatch.setattr(unions, "MAX_UNIONS", 439)
    assert len(covering_lattice(*layout)) == 439
    monkeypatch.setattr(unions, "MAX_UNIONS", 438)
    with pytest.raises(
        ConfigurationError, match="12 masks have more than 438 distinct unions of order 4; take a larger"
    ):
        covering_lattice(*layout)


def test_lattice_is_refused_if_the_masks_leave_a_gap(monkeypatch):
    monkeypatch.setattr(unions, "covering_masks", lambda *layout: covering_masks(*layout)[:-1])
    with pytest.raises(ConfigurationError, match="no mask covers"):
        covering_lattice(*COLUMNS, PatchSpec(32), order=1)
