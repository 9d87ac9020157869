"""Base models whose windows can be hidden."""

from mrcert_pl.models.ablated_vit import AblatedViT
from mrcert_pl.models.black_box import BlackBox
from mrcert_pl.models.masked_vit import MaskedViT
from mrcert_pl.models.vit_srf import ViTSRF
from mrcert_pl.models.wrapped import WrappedClassifier

__all__ = ["AblatedViT", "BlackBox", "MaskedViT", "ViTSRF", "WrappedClassifier"]
