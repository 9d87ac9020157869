"""Base models whose windows can be hidden."""

from mrcert_pl.models.vit_srf import ViTSRF

__all__ = ["ViTSRF"]
