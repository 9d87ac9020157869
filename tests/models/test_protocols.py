"""Our models play the roles of the protocols."""

import pytest

from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.protocols import (
    AblatableModel,
    AttackableModel,
    CountingModel,
    DenseModel,
    GridModel,
    TrainableModel,
)

GRID: tuple[type[GridModel], ...] = (ViTSRF, MaskedViT, BlackBox)
ABLATABLE: tuple[type[AblatableModel], ...] = (AblatedViT,)
DENSE: tuple[type[DenseModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)
ATTACKABLE: tuple[type[AttackableModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)
TRAINABLE: tuple[type[TrainableModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)
COUNTING: tuple[type[CountingModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)

_VIT = {"backbone": "vit_tiny_patch16_224", "backbone_args": {"embed_dim": 16, "depth": 2, "num_heads": 2}}
SMALL = {
    ViTSRF: {**_VIT, "split": 1},
    MaskedViT: _VIT,
    AblatedViT: _VIT,
    BlackBox: {"backbone": "resnet10t", "masks_per_axis": 2},
}


@pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.__name__)
def test_our_models_play_their_roles(kind: type) -> None:
    model = kind(num_classes=3, **SMALL[kind])
    roles = [DenseModel, AttackableModel, TrainableModel, CountingModel]
    assert all(isinstance(model, role) for role in roles)
    assert isinstance(model, GridModel) == (kind is not AblatedViT)
    assert isinstance(model, AblatableModel) == (kind is AblatedViT)
