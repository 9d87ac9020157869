"""Former public names work for one version, with a warning."""

import pytest
import torch

import mrcert_pl.defenders
import mrcert_pl.geometry
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants import PredictionTable


@pytest.mark.parametrize(
    ("module", "former", "name"),
    [(mrcert_pl.geometry, "ColumnAblations", "Ablations"), (mrcert_pl.defenders, "ColumnVote", "AblationVote")],
)
def test_classes(module: object, former: str, name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{former} is deprecated; use {name}"):
        assert getattr(module, former) is getattr(module, name)
    with pytest.raises(AttributeError):
        getattr(module, "Nothing")  # noqa: B009


def test_the_lattice_of_a_table() -> None:
    table = PredictionTable(UnionLattice([1], 2, 1), torch.zeros(1, 2, dtype=torch.long))
    with pytest.warns(DeprecationWarning, match="use mutants"):
        assert table.lattice is table.mutants
