"""Masks of a training."""

from collections.abc import Sequence

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models.protocols import AblatableModel, BaseModel, GridModel
from mrcert_pl.tasks.training import TrainingSettings
from mrcert_pl.training import AblationSampler, MaskSampler, MixedSampler, WindowSampler, fewest_to_hide_all


def window_sampler(settings: TrainingSettings, model: BaseModel) -> WindowSampler:
    """Return the sampler of hidden windows: all but one ablation for votes, else the masks of the recipe."""
    recipe = settings.recipe
    if isinstance(model, AblatableModel):
        if not isinstance(settings.stride, int):
            raise ConfigurationError(f"votes have one stride in px, got {settings.stride}; give a whole number")
        return AblationSampler(model.ablations(settings.stride), recipe.masks_per_batch)
    patch = PatchSpec(recipe.mask_patch or settings.patch)
    if settings.stage == "srf_vanilla":
        orders: Sequence[int] = [0]
    else:
        orders = recipe.mask_orders or range(2 * settings.patches + 1)
    if not isinstance(model, GridModel):
        raise ConfigurationError(f"model={settings.model.name} has no windows that masks could hide, and no ablations")
    strides: Sequence[int | tuple[int, int]] = recipe.mask_strides or [settings.stride]
    samplers = [
        MaskSampler(
            _masks(model, patch, stride, max(orders)),
            model.windows,
            orders,
            recipe.masks_per_batch,
            draws=recipe.mask_draws,
            heaviest=recipe.mask_heaviest,
        )
        for stride in strides
    ]
    return samplers[0] if len(samplers) == 1 else MixedSampler(samplers, recipe.masks_per_batch)


def _masks(model: GridModel, patch: PatchSpec, stride: int | tuple[int, int], most: int) -> tuple[int, ...]:
    """Return the masks of a stride.

    Raises:
        ConfigurationError: if unions of ``most`` masks can hide every window; says which stride or windows work.
    """
    masks = model.covering_masks(patch, stride)
    fewest = fewest_to_hide_all(masks, model.windows, most)
    if fewest is not None:
        raise ConfigurationError(
            f"{fewest} of the {len(masks)} training masks can hide all {model.windows} windows, and an image without a "
            f"visible window can't be classified; recipe.mask_orders must be below {fewest}, or "
            f"{model.advice(patch, most, stride)}"
        )
    return masks
