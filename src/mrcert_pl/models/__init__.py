"""Base models whose windows can be hidden."""

from mrcert_pl.models.ablated_vit import AblatedViT
from mrcert_pl.models.black_box import BlackBox
from mrcert_pl.models.export import export_encoder, export_mutants
from mrcert_pl.models.masked_vit import MaskedViT
from mrcert_pl.models.protocols import (
    AblatableModel,
    AttackableModel,
    BaseModel,
    CountingModel,
    DenseModel,
    GridModel,
    MaskableModel,
    TrainableModel,
)
from mrcert_pl.models.registry import build, names, register
from mrcert_pl.models.vit_srf import ViTSRF
from mrcert_pl.models.wrapped import WrappedClassifier

__all__ = [
    "AblatableModel",
    "AblatedViT",
    "AttackableModel",
    "BaseModel",
    "BlackBox",
    "CountingModel",
    "DenseModel",
    "GridModel",
    "MaskableModel",
    "MaskedViT",
    "TrainableModel",
    "ViTSRF",
    "WrappedClassifier",
    "build",
    "export_encoder",
    "export_mutants",
    "names",
    "register",
]
