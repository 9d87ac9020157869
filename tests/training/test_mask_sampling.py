import pytest
import torch

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Ablations, PatchSpec, UnionLattice, covering_masks
from mrcert_pl.training import AblationSampler, MaskSampler

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


def test_one_draw_for_the_whole_batch() -> None:
    sampler = MaskSampler(MASKS, 14, [2], per_batch=True)
    batches = [sampler(16) for _ in range(20)]
    assert all((hidden == hidden[0]).all() for hidden in batches)
    assert all(hidden.shape == (16, 14) for hidden in batches)
    assert len({tuple(unions(hidden[:1])) for hidden in batches}) > 5


@pytest.mark.parametrize("orders", [[], [-1, 0]])
def test_bad_orders(orders: list[int]) -> None:
    with pytest.raises(ConfigurationError, match="orders of training masks"):
        MaskSampler(MASKS, 14, orders)


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
