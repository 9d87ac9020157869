"""The sampler of a recipe."""

from typing import Any

import pytest
from foreign_model import MeanColours

from mrcert_pl import ModelSettings, RecipeSettings, TrainingSettings
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.registry import build
from mrcert_pl.tasks.training_masks import window_sampler
from mrcert_pl.training import AblationSampler, MaskSampler, MixedSampler


def settings(**changed: Any) -> TrainingSettings:
    return TrainingSettings(**{"patch": 32, **changed})


def test_masks_of_one_stride_or_several(tiny_vit: ViTSRF) -> None:
    assert isinstance(window_sampler(settings(), tiny_vit), MaskSampler)
    several = RecipeSettings(mask_strides=[1, 2], mask_orders=[0, 1, 2, 3])
    assert isinstance(window_sampler(settings(recipe=several), tiny_vit), MixedSampler)


def test_strides_whose_masks_hide_everything_are_refused(tiny_vit: ViTSRF) -> None:
    wide = RecipeSettings(mask_strides=[1, 2])
    with pytest.raises(ConfigurationError, match=r"4 of the 6 training masks can hide all 14 windows.* stride=1$"):
        window_sampler(settings(recipe=wide), tiny_vit)
    many = RecipeSettings(mask_orders=[99])
    with pytest.raises(ConfigurationError, match=r"recipe\.mask_orders must be below 4, or "):
        window_sampler(settings(recipe=many, stride=2), tiny_vit)


def test_the_first_stage_hides_nothing(tiny_vit: ViTSRF) -> None:
    assert not window_sampler(settings(stage="srf_vanilla"), tiny_vit)(20).any()
    assert window_sampler(settings(), tiny_vit)(20).any()


def test_votes_are_trained_on_their_ablations() -> None:
    small = {"backbone": "vit_tiny_patch16_224", "backbone_args": {"embed_dim": 16, "depth": 2, "num_heads": 2}}
    model = build("column_vit", **small, num_classes=10)
    assert isinstance(window_sampler(settings(model=ModelSettings("column_vit")), model), AblationSampler)
    with pytest.raises(ConfigurationError, match=r"votes have one stride in px, got \(2, 2\)"):
        window_sampler(settings(stride=(2, 2)), model)


def test_a_model_without_windows_has_no_masks() -> None:
    with pytest.raises(ConfigurationError, match="has no windows that masks could hide"):
        window_sampler(settings(), MeanColours())
