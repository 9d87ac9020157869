"""Defenders that hide masks: their mutants, and the order of queries, with a rule of the test itself."""

import pytest
import torch
from jaxtyping import Bool, Int
from reference.defender_tables import lattice_of
from reference.lazy_tables import assert_verdicts_of_the_full_table
from reference.patch_game import PatchGame, small_lattice
from torch import Tensor

from mrcert_pl.defenders import MaskingDefender, OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_masks
from mrcert_pl.mutants.table import PredictionTable


class Columns:
    """The geometry of a model with six columns of 16 px."""

    windows = 6

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        return covering_masks((1, 6), (32, 16), patch, stride)

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        return f"order {order}: not stride={stride}"


class Unanimous(MaskingDefender):
    """The label of the unmasked image, certified if all mutants have it."""

    name = "unanimous"
    order = 2
    initial_order = 0

    def decide_part(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, optimistic: bool = False
    ) -> Verdicts:
        label = table.labels[:, 0].long()
        same = table.labels == label[:, None]
        if optimistic:
            same |= ~table.evaluated
        none = torch.full_like(label, -1)
        certified = same[:, : table.mutants.size(self.order)].all(1)
        return Verdicts(label, certified, torch.zeros_like(certified), 2 + none, none, level=1 + none)


class Stubborn(Unanimous):
    """One whose useful entries have all been evaluated."""

    def useful_entries(
        self, table: PredictionTable[UnionLattice], output: OutputLevel, label: Int[Tensor, " image"]
    ) -> Bool[Tensor, "image mutant"]:
        return table.evaluated


class TestMutants:
    def test_unions_of_the_masks_that_cover_the_patch(self) -> None:
        lattice = Unanimous().mutants(Columns(), PatchSpec(16))
        assert lattice.masks == covering_masks((1, 6), (32, 16), PatchSpec(16))
        assert (lattice.windows, lattice.order) == (6, 2)

    @pytest.mark.parametrize(("patch_px", "stride"), [(32, 1), (16, 2)])
    def test_advice_of_the_model_follows_the_reason(self, patch_px: int, stride: int) -> None:
        with pytest.raises(ConfigurationError, match=f"can hide all 6 windows.*; order 2: not stride={stride}$"):
            Unanimous().mutants(Columns(), PatchSpec(patch_px), stride)

    def test_a_model_without_a_grid(self) -> None:
        with pytest.raises(ConfigurationError, match=r"Unanimous hides windows of a grid, and Linear has none: .*=vot"):
            Unanimous().mutants(torch.nn.Linear(1, 1), PatchSpec(16))


class TestQueries:
    lattice = lattice_of("6 columns, masks of 2", 3)

    def test_all_entries_up_to_its_order_for_a_complete_table(self) -> None:
        table = PredictionTable.empty(self.lattice, 2)
        table.labels[1, 3] = 5
        queries = Unanimous().next_queries(table)
        assert queries[0].tolist() == (self.lattice.orders <= 2).tolist()
        assert (queries[0] ^ queries[1]).nonzero()[:, 0].tolist() == [3]

    def test_the_first_orders_come_first(self) -> None:
        lazy = Unanimous().with_output("certificate")
        table = PredictionTable.empty(self.lattice, 1)
        assert lazy.next_queries(table).nonzero().tolist() == [[0, 0]]
        table.labels[0, 0] = 1
        later = lazy.next_queries(table)
        assert later.any()
        assert not later[0, 0]
        assert (self.lattice.orders[later[0]] <= 2).all()

    def test_nothing_is_queried_for_a_settled_level(self) -> None:
        table = PredictionTable.empty(self.lattice, 2)
        table.labels[:, 0] = 1
        table.labels[1, 4] = 2
        assert not Unanimous().with_output("label").next_queries(table).any()
        assert Unanimous().with_output("certificate").next_queries(table).any(1).tolist() == [True, False]

    def test_a_lattice_of_a_lower_order(self) -> None:
        table = PredictionTable.empty(lattice_of("6 columns, masks of 2", 1), 1)
        with pytest.raises(
            ConfigurationError, match=r"Unanimous needs .* of up to 2 masks; the table has them up to 1"
        ):
            Unanimous().next_queries(table)

    @pytest.mark.parametrize("defender", [Unanimous(), Stubborn()], ids=lambda d: type(d).__name__)
    @pytest.mark.parametrize("grid", ["3 single windows", "4 windows, masks of 2"])
    def test_lazy_verdicts_of_every_table(self, defender: Unanimous, grid: str) -> None:
        game = PatchGame(small_lattice(grid, 2), 2)
        assert_verdicts_of_the_full_table(defender, game.table)
        certified = defender.decide(game.table).certified
        assert certified is not None
        assert certified.sum() == 2
