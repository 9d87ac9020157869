"""The base model alone: the label of the unmasked image, never a certificate."""

import pytest
import torch
from reference.defender_tables import GRIDS, lattice_of, planted_table, rows_of

from mrcert_pl.defenders import Defender, MRCert, PatchCURE, Undefended
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import AblatedViT, ViTSRF
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("grid", GRIDS)
def test_label_of_the_unmasked_image(grid: str, dtype: torch.dtype, order: int) -> None:
    lattice = lattice_of(grid, order)
    labels = torch.randint(1000, (50, len(lattice)), generator=torch.Generator().manual_seed(0)).to(dtype)
    verdicts = Undefended().decide(PredictionTable(lattice, labels))
    assert verdicts.label.dtype == verdicts.case.dtype == verdicts.witness.dtype == torch.long
    assert verdicts.certified.dtype == verdicts.round_trip.dtype == torch.bool
    assert rows_of(verdicts) == [(label, 1, False, False, -1) for label in labels[:, 0].tolist()]


def test_constant_tables_have_no_certificate() -> None:
    lattice = lattice_of("6 columns, masks of 2", 4)
    table = PredictionTable(lattice, torch.full((1, len(lattice)), 2))
    assert rows_of(Undefended().decide(table)) == [(2, 1, False, False, -1)]
    assert Undefended().round_trip_note


def test_asks_for_the_unmasked_image_only() -> None:
    lattice = lattice_of("6 columns, masks of 2", 2)
    table = PredictionTable.empty(lattice, 2)
    table.labels[1, 0] = 5
    assert Undefended().next_queries(table).nonzero().tolist() == [[0, 0]]
    with pytest.raises(ConfigurationError, match="lacks 1 labels that Undefended needs"):
        Undefended().decide(table)
    table.labels[0, 0] = 6
    assert (table.labels == NOT_EVALUATED).any()
    assert Undefended().decide(table).label.tolist() == [6, 5]


@pytest.mark.parametrize("other", [PatchCURE(), MRCert()], ids=lambda defender: defender.name)
def test_its_table_is_the_beginning_of_those_of_other_defenders(tiny_vit: ViTSRF, other: Defender) -> None:
    alone, theirs = (defender.mutants(tiny_vit, PatchSpec(32)) for defender in (Undefended(), other))
    assert alone.identity() == theirs.identity()
    assert alone.unions == theirs.unions[:1] == (0,)


def test_a_model_without_masks() -> None:
    model = AblatedViT(
        "vit_tiny_patch16_224", num_classes=2, backbone_args={"embed_dim": 16, "depth": 1, "num_heads": 2}
    )
    lattice = Undefended().mutants(model, PatchSpec(32))
    assert (len(lattice), lattice.windows) == (1, model.windows)
    assert not lattice.hidden.any()


def test_no_images() -> None:
    table = planted_table(lattice_of("6 columns, masks of 2", 2), images=0)
    assert rows_of(Undefended().decide(table)) == []
