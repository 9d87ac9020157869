"""timm models by their full tag, checked for what a base model needs of them."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
from timm.layers import PatchEmbed
from timm.models.naflexvit import NaFlexVit
from torch import nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.state_dicts import read_state_dict
from mrcert_pl.models.token_vit import POOLS, SUPPORTED
from mrcert_pl.models.weights import check_start, hub_weights, load_weights

# Arguments that have a setting of their own, or that the models need as they are.
_FIXED = ("num_classes", "in_chans", "pretrained")
# Arguments by which timm.create_model loads a file; a checkpoint with them is refused (models/rebuild.py).
_LOADING = ("checkpoint_path", "pretrained_strict", "cache_dir")

_STEM = "its convolutional stem or overlapping patches let a token see the pixels of its neighbours"
_MERGING = "it merges neighbouring tokens as it goes deeper, which needs the whole grid"
_WINDOWS = "it attends within windows of the grid and merges neighbouring tokens, which needs the whole grid"
_CONVOLUTION = "it convolves the grid of tokens, so that tokens see hidden neighbours"
_MIXING = "it mixes tokens by weights of the whole grid"
_PAIRS = "it could drop tokens, but its attention by relative position is implemented for the whole grid only"
_PARTS = "it could drop tokens, but its encoder is implemented for the whole grid only"

REFUSED: Mapping[str, str] = {
    "cait": "it could drop tokens, but its class attention is implemented for the whole grid only",
    "coat": _CONVOLUTION,
    "convit": _PAIRS,
    "convmixer": _CONVOLUTION,
    "crossvit": "it has a second grid for a resampled image, whose tokens see beyond a window of the first",
    "davit": _WINDOWS,
    "deepseek_vit": _PARTS,
    "edgenext": _CONVOLUTION,
    "efficientformer": _STEM,
    "efficientformer_v2": _STEM,
    "efficientvit_mit": _STEM,
    "efficientvit_msra": _STEM,
    "fastvit": _STEM,
    "focalnet": _CONVOLUTION,
    "gcvit": _STEM,
    "gemma4_vit": _PARTS,
    "hiera": _WINDOWS,
    "hieradet_sam2": _WINDOWS,
    "iformer": _STEM,
    "levit": _STEM,
    "maxxvit": _STEM,
    "metaformer": _STEM,
    "mlp_mixer": _MIXING,
    "mvitv2": _STEM,
    "nest": _WINDOWS,
    "nextvit": _STEM,
    "pit": _MERGING,
    "pvt_v2": _STEM,
    "qwen3_vit": _PARTS,
    "sequencer": "it runs recurrent layers along the rows and columns of the whole grid",
    "swiftformer": _STEM,
    "swin_transformer": _WINDOWS,
    "swin_transformer_v2": _WINDOWS,
    "swin_transformer_v2_cr": _WINDOWS,
    "tiny_vit": _STEM,
    "tnt": _STEM,
    "twins": _CONVOLUTION,
    "visformer": _STEM,
    "vision_transformer_hybrid": _STEM,
    "vision_transformer_relpos": _PAIRS,
    "vision_transformer_sam": "it attends within windows of the grid and convolves the grid behind the last block",
    "vitamin": _STEM,
    "volo": _STEM,
    "xcit": "its blocks convolve the grid, and its attention over channels uses statistics of all tokens",
}
"""Why a family of timm (one of its modules) has no hidden tokens here."""


def token_vit(
    name: str,
    num_classes: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    head_rows: Sequence[Any] | None = None,
    /,
    **arguments: Any,
) -> tuple[Any, tuple[int, int]]:
    """Return a ViT whose tokens can be dropped, with the pooling of its tag (or ``global_pool``), and its image size.

    A token must be a function of its own patch until the first block, and must meet others in attention alone
    (docs/theory.md, Theorem 14). docs/backbones.md lists the families.

    Args:
        name: timm model name with its tag, e.g. ``vit_base_patch16_224.mae``.
        num_classes: Number of classes.
        pretrained: Load the tag's weights from the hub (needs a network, or timm's cache); without a tag those of
            timm's default tag.
        weights: Local file to take the weights from instead of the hub.
        head_rows: For each class its row in the head of the weights (:func:`~mrcert_pl.models.weights.load_weights`).
        arguments: Further arguments of the timm model, e.g. ``depth`` or ``embed_dim``.

    Returns:
        The timm model, with an attribute ``new_head`` (whether the weights of its head are random), and
        ``(height, width)`` of its images in px.

    Raises:
        ConfigurationError: for an unknown name, arguments that timm refuses, a model without such tokens, or
            unavailable weights; for ``head_rows`` that don't fit the weights, or without any.
        CheckpointError: for a file that can't be read, or weights of another model.
    """

    def check(model: Any) -> None:
        if reason := _without_tokens(model, _image_px(model, arguments)):
            raise ConfigurationError(
                f"{name!r} has no tokens that could be dropped: {reason}; take another backbone (docs/backbones.md), "
                "or model=blackbox, which hides pixels of any classifier"
            )
        if model.global_pool not in POOLS:
            raise ConfigurationError(
                f"{name!r} pools by {model.global_pool!r}, which is implemented for all tokens only; "
                f"give ++model.backbone_args.global_pool=avg (or one of {', '.join(POOLS)})"
            )

    vit = _make(name, num_classes, pretrained, weights, head_rows, arguments, check)
    return vit, _image_px(vit, arguments)


def averaging_vit(
    name: str,
    num_classes: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    head_rows: Sequence[Any] | None = None,
    /,
    **arguments: Any,
) -> tuple[Any, tuple[int, int]]:
    """A :func:`token_vit` that averages its patch tokens. Args and errors are those of :func:`token_vit`."""
    _check_free(name, arguments, ("global_pool",))
    return token_vit(name, num_classes, pretrained, weights, head_rows, **{**arguments, "global_pool": "avg"})


def classifier(
    name: str,
    num_classes: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    head_rows: Sequence[Any] | None = None,
    /,
    **arguments: Any,
) -> nn.Module:
    """Any classifier of timm. Args and errors are those of :func:`token_vit`, with no demands on the architecture."""
    return _make(name, num_classes, pretrained, weights, head_rows, arguments, lambda model: None)


def _make(
    name: str,
    num_classes: int,
    pretrained: bool,
    weights: str | Path | None,
    head_rows: Sequence[Any] | None,
    arguments: Mapping[str, Any],
    check: Callable[[Any], None],
) -> Any:
    """A timm model that passes a check, with its weights."""
    _check_free(name, arguments, _FIXED)
    if loading := [argument for argument in _LOADING if argument in arguments]:
        raise ConfigurationError(
            f"{', '.join(loading)} of model.backbone_args would load weights beside model.weights and "
            "model.pretrained; give model.weights=PATH instead"
        )
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        pattern = f"*{architecture.split('_patch')[0]}*"
        similar = timm.list_models(pattern, module="vision_transformer") or timm.list_models(pattern)
        similar = similar[:8] or difflib.get_close_matches(architecture, timm.list_models(), 5)
        hint = f"; similar ones: {', '.join(similar)}" if similar else "; see timm.list_models('vit_*')"
        raise ConfigurationError(f"timm has no model {name!r}{hint}")
    check_start(num_classes, pretrained, weights, head_rows)
    hub = hub_weights(name) if pretrained and weights is None else None
    try:
        model: Any = timm.create_model(name, num_classes=num_classes, **arguments)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"timm can't make {name!r} with {dict(arguments)}: {error}") from error
    check(model)
    model.new_head = True
    if weights is not None:
        model.new_head = load_weights(model, read_state_dict(weights), str(weights), head_rows)
    elif hub is not None:
        model.new_head = load_weights(model, hub, f"{name} from the hub", head_rows)
    return model


def _check_free(name: str, arguments: Mapping[str, Any], fixed: Sequence[str]) -> None:
    if given := [argument for argument in fixed if argument in arguments]:
        raise ConfigurationError(
            f"these arguments of {name!r} are not free: {', '.join(given)}; take them out of model.backbone_args"
        )


def _image_px(model: Any, arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Size of the images: NaFlexViT takes any, so its default or the argument ``img_size`` fixes it."""
    defaults = model.pretrained_cfg
    if isinstance(model, NaFlexVit):
        size = arguments.get("img_size") or defaults["input_size"][1:]
    else:
        size = getattr(getattr(model, "patch_embed", None), "img_size", None) or (0, 0)
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _without_tokens(model: Any, image_px: tuple[int, int]) -> str | None:
    """Why hidden tokens of a model can't be dropped, ``None`` if they can."""
    family = type(model).__module__.rpartition(".")[2]
    # Not a subclass: it may compute something else.
    if type(model) not in SUPPORTED:
        return REFUSED.get(family, f"a {type(model).__name__} has no tokens for patches that don't overlap")
    if isinstance(model, NaFlexVit):
        patch_px = model.embeds.patch_size
    elif type(model.patch_embed) is PatchEmbed:
        patch_px = model.patch_embed.patch_size
    else:
        return _STEM
    if any(image % patch for image, patch in zip(image_px, patch_px, strict=True)):
        return f"its images of {image_px} px are not whole patches of {tuple(patch_px)} px"
    return None
