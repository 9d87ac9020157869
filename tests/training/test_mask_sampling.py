from collections import Counter

import pytest
import torch

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Ablations, PatchSpec, UnionLattice, covering_masks
from mrcert_pl.training import AblationSampler, MaskSampler, MixedSampler, fewest_to_hide_all

MASKS = covering_masks((1, 14), (224, 16), PatchSpec(32))


def unions(hidden: torch.Tensor) -> list[int]:
    return [sum(1 << w for w in row.nonzero().flatten().tolist()) for row in hidden]


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_every_draw_is_a_union_of_at_most_that_many_masks(order: int) -> None:
    lattice = UnionLattice(MASKS, 14, order)
    drawn = unions(MaskSampler(MASKS, 14, [order])(500))
    assert all(union in lattice.unions for union in drawn)
    assert (0 in drawn) == (order == 0)


def test_orders_are_drawn_equally_often() -> None:
    hidden = MaskSampler(MASKS, 14, [0, 1, 3])(6000)
    counts = hidden.sum(1)
    assert abs((counts == 0).float().mean() - 1 / 3) < 0.03
    # One mask of this grid hides three columns, three can hide up to nine.
    assert counts.max() == 9
    assert abs((counts > 3).float().mean() - 1 / 3 * 0.98) < 0.05


def test_every_mask_comes_up_and_each_image_has_its_own() -> None:
    drawn = unions(MaskSampler(MASKS, 14, [1])(500))
    assert set(drawn) == set(MASKS)


@pytest.mark.parametrize("per_batch", [False, True])
def test_masks_of_several_strides_are_drawn_equally_often(per_batch: bool) -> None:
    large = covering_masks((1, 14), (224, 16), PatchSpec(32), 4)
    sampler = MixedSampler([MaskSampler(masks, 14, [1], per_batch) for masks in (MASKS, large)], per_batch)
    draws = torch.cat([sampler(1) for _ in range(2000)]) if per_batch else sampler(2000)
    assert set(unions(draws)) == {*MASKS, *large}
    assert abs((draws.sum(1) == 3).float().mean() - 0.5) < 0.05
    assert (len(set(unions(sampler(50)))) == 1) == per_batch


def test_one_draw_for_the_whole_batch() -> None:
    sampler = MaskSampler(MASKS, 14, [2], per_batch=True)
    batches = [sampler(16) for _ in range(20)]
    assert all((hidden == hidden[0]).all() for hidden in batches)
    assert all(hidden.shape == (16, 14) for hidden in batches)
    assert len({tuple(unions(hidden[:1])) for hidden in batches}) > 5


@pytest.mark.parametrize("orders", [[0, 1, 2, 3, 4], [0, 2]])
def test_distinct_draws_are_uniform_over_the_unions_of_these_orders(orders: list[int]) -> None:
    masks = covering_masks((14, 14), (16, 16), PatchSpec(32), stride=4)
    lattice = UnionLattice(masks, 196, 4)
    expected = {union for union, order in zip(lattice.unions, lattice.orders.tolist(), strict=True) if order in orders}
    drawn = Counter(unions(MaskSampler(masks, 196, orders, draws="distinct")(100 * len(expected))))
    assert drawn.keys() == expected
    # Poisson of mean 100: five standard deviations.
    assert all(50 < count < 150 for count in drawn.values())


@pytest.mark.parametrize("draws", ["masks", "distinct"])
def test_a_fraction_of_the_draws_hides_unions_of_the_largest_order(draws: str) -> None:
    lattice = UnionLattice(MASKS, 14, 4)
    orders = dict(zip(lattice.unions, lattice.orders.tolist(), strict=True))

    def of_order_four(heaviest: float) -> float:
        drawn = unions(MaskSampler(MASKS, 14, range(5), draws=draws, heaviest=heaviest)(4000))
        return sum(orders[union] == 4 for union in drawn) / 4000

    others = of_order_four(0.0)
    assert of_order_four(1.0) == 1
    assert of_order_four(0.7) == pytest.approx(0.7 + 0.3 * others, abs=0.04)


def test_defaults_draw_what_they_always_drew() -> None:
    """Against the draws written out: orders, then as many masks as the largest of them, with replacement."""
    single = UnionLattice(MASKS, 14, 1).hidden[1:]
    torch.manual_seed(3)
    drawn = MaskSampler(MASKS, 14, [0, 2, 4])(50)
    torch.manual_seed(3)
    orders = torch.tensor([0, 2, 4])[torch.randint(3, (50,))].tolist()
    masks = torch.randint(len(single), (50, 4)).tolist()
    for row, order, chosen in zip(drawn, orders, masks, strict=True):
        assert torch.equal(row, single[chosen[:order]].any(0))


def test_one_heavy_draw_for_the_whole_batch() -> None:
    sampler = MaskSampler(MASKS, 14, [2], per_batch=True, heaviest=0.5)
    assert all((hidden == hidden[0]).all() for hidden in (sampler(16) for _ in range(20)))


@pytest.mark.parametrize("grid", [(1, 14), (2, 7), (7, 7)])
@pytest.mark.parametrize("patch", [16, 32, 48, 64, "32x80"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_fewest_masks_that_hide_everything(grid: tuple[int, int], patch: int | str, stride: int) -> None:
    """Against all unions of up to four masks; a greedy choice of masks fails for two of these."""
    windows = grid[0] * grid[1]
    masks = covering_masks(grid, (224 // grid[0], 224 // grid[1]), PatchSpec(patch), stride)
    unions, fewest = {0}, None
    for number in range(1, 5):
        unions = {union | mask for union in unions for mask in masks}
        if fewest is None and (1 << windows) - 1 in unions:
            fewest = number
    assert fewest_to_hide_all(masks, windows, 4) == fewest


def test_masks_that_leave_a_window_visible() -> None:
    masks = [0b000011, 0b001110, 0b011100, 0b110000]
    assert [fewest_to_hide_all(masks, 6, most) for most in (0, 2, 3, 99)] == [None, None, 3, 3]
    assert fewest_to_hide_all(masks[:3], 6, 99) is None
    for orders, hides_all in (([2], False), ([3], True)):
        assert MaskSampler(masks, 6, orders)(200).all(1).any() == hides_all


@pytest.mark.parametrize(
    ("orders", "settings", "message"),
    [
        ([], {}, "orders of training masks"),
        ([-1, 0], {}, "orders of training masks"),
        ([2], {"draws": "heavy"}, "unknown draws of training masks 'heavy'; choose one of: distinct, masks"),
        ([2], {"heaviest": 1.5}, "must be from 0 to 1, got 1.5"),
        ([0, 3], {"heaviest": 0.5}, "no union of 2 masks needs 3 of them"),
        ([3], {"draws": "distinct"}, "no union of 2 masks needs 3 of them"),
    ],
)
def test_bad_settings(orders: list[int], settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        MaskSampler(MASKS[:2], 14, orders, **settings)


class TestAblations:
    ablations = Ablations((8, 8), width=3)

    def test_every_vote_comes_up_and_the_whole_image_never(self) -> None:
        hidden = AblationSampler(self.ablations)(800)
        votes = (hidden[:, None] == self.ablations.hidden[1:]).all(2)
        assert (votes.sum(1) == 1).all()
        assert (votes.sum(0) > 60).all()

    def test_one_draw_for_the_whole_batch(self) -> None:
        sampler = AblationSampler(self.ablations, per_batch=True)
        batches = [sampler(6) for _ in range(20)]
        assert all(hidden.shape == (6, 16) and (hidden == hidden[0]).all() for hidden in batches)
        assert len({tuple(hidden[0].tolist()) for hidden in batches}) > 4
