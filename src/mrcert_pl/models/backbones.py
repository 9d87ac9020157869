"""Plain Vision Transformers from timm, by their full tag."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
from timm.layers import PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.state_dicts import read_state_dict
from mrcert_pl.models.weights import hub_weights, load_weights

# Settings of ours, or that our models can't do without.
_FIXED = ("num_classes", "in_chans", "pretrained")


def plain_vit(
    name: str,
    num_classes: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    head_rows: Sequence[int] | None = None,
    /,
    **arguments: Any,
) -> VisionTransformer:
    """A plain ViT with average pooling over its patch tokens.

    Plain means: non-overlapping square-grid patch embedding, learned positions, one class token and no registers,
    standard pre-norm blocks. Only then does a window's feature depend on its own pixels and a hidden token on
    nothing but the number of its equals (docs/theory.md, Theorem 5).

    Args:
        name: timm model name with its tag, e.g. ``vit_base_patch16_224.mae``.
        num_classes: outputs of the head.
        pretrained: load the tag's weights from the hub (needs a network, or timm's cache); without a tag those of
            timm's default tag.
        weights: a local file to take the weights from instead; the hub isn't asked then.
        head_rows: for each class its row in the head of the weights (:func:`~mrcert_pl.models.weights.load_weights`).
        arguments: further arguments of the timm model, e.g. ``depth`` or ``embed_dim``.

    Raises:
        ConfigurationError: for an unknown name, arguments that timm refuses, a model that is not a plain ViT, or
            weights that can't be had; for ``head_rows`` that don't fit the weights, or without any.
        CheckpointError: for a file that can't be read, or weights of another model.
    """
    _check_free(name, arguments, ("global_pool",))

    def check(model: Any) -> None:
        if reason := _without_token_grid(model) or _not_plain(model):
            raise ConfigurationError(
                f"{name!r} is not a plain ViT: {reason}; take one such as vit_base_patch16_224.mae"
            )

    return _make(name, num_classes, pretrained, weights, head_rows, {**arguments, "global_pool": "avg"}, check)


def token_vit(
    name: str,
    num_classes: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    head_rows: Sequence[int] | None = None,
    /,
    **arguments: Any,
) -> VisionTransformer:
    """Any ViT whose patches don't overlap, pooled as the tag (or ``global_pool``) says: by class token or average.

    That is all that dropping hidden tokens asks for (docs/theory.md, Theorem 14). Args and errors are those of
    :func:`plain_vit`.
    """

    def check(model: Any) -> None:
        if reason := _without_token_grid(model):
            raise ConfigurationError(
                f"{name!r} has no tokens that could be dropped: {reason}; take a ViT such as deit_tiny_patch16_224, or "
                "model=blackbox, which hides pixels of any classifier"
            )
        if model.global_pool not in ("token", "avg"):
            raise ConfigurationError(
                f"{name!r} pools by {model.global_pool!r}, which is defined for whole images only; "
                "give ++model.backbone_args.global_pool=avg (or token)"
            )

    return _make(name, num_classes, pretrained, weights, head_rows, arguments, check)


def classifier(
    name: str,
    num_classes: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    head_rows: Sequence[int] | None = None,
    /,
    **arguments: Any,
) -> nn.Module:
    """Any classifier of timm. Args and errors are those of :func:`plain_vit`, with no demands on the architecture."""
    return _make(name, num_classes, pretrained, weights, head_rows, arguments, lambda model: None)


def _make(
    name: str,
    num_classes: int,
    pretrained: bool,
    weights: str | Path | None,
    head_rows: Sequence[int] | None,
    arguments: Mapping[str, Any],
    check: Callable[[Any], None],
) -> Any:
    """A timm model that passes a check, with its weights."""
    _check_free(name, arguments, _FIXED)
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        pattern = f"*{architecture.split('_patch')[0]}*"
        similar = (timm.list_models(pattern, module="vision_transformer") or timm.list_models(pattern))[:8]
        hint = f"; similar ones: {', '.join(similar)}" if similar else "; see timm.list_models('vit_*')"
        raise ConfigurationError(f"timm has no model {name!r}{hint}")
    if head_rows is not None and weights is None and not pretrained:
        raise ConfigurationError(
            "head_rows are rows of a pre-trained head, and there are no weights: "
            "give model.weights=PATH or model.pretrained=true, or set model.head_rows=null"
        )
    hub = hub_weights(name) if pretrained and weights is None else None
    try:
        model: Any = timm.create_model(name, num_classes=num_classes, **arguments)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"timm can't make {name!r} with {dict(arguments)}: {error}") from error
    check(model)
    if weights is not None:
        load_weights(model, read_state_dict(weights), str(weights), head_rows)
    elif hub is not None:
        load_weights(model, hub, f"{name} from the hub", head_rows)
    return model


def _check_free(name: str, arguments: Mapping[str, Any], fixed: Sequence[str]) -> None:
    if given := [argument for argument in fixed if argument in arguments]:
        raise ConfigurationError(
            f"these arguments of {name!r} are not free: {', '.join(given)}; take them out of model.backbone_args"
        )


def _without_token_grid(model: Any) -> str | None:
    # Not a subclass: DeiT's distilled one has a token and a head that our models don't know.
    if type(model) is not VisionTransformer:
        return f"it is a {type(model).__name__}"
    # A convolutional stem or overlapping patches would let a window see the pixels of its neighbours.
    if type(model.patch_embed) is not PatchEmbed or model.dynamic_img_size:
        return "its patch embedding is not a fixed grid of patches"
    sizes = zip(model.patch_embed.img_size, model.patch_embed.patch_size, strict=True)
    if any(image % patch for image, patch in sizes):
        return (
            f"its images of {model.patch_embed.img_size} px are not whole patches of {model.patch_embed.patch_size} px"
        )
    return None


def _not_plain(model: Any) -> str | None:
    if any(type(block) is not Block for block in model.blocks):
        return "its blocks are not standard pre-norm blocks"
    if model.cls_token is None or model.num_reg_tokens:
        return "it needs one class token and no registers"
    if model.pos_embed is None:
        return "it has no learned positions"
    if not isinstance(model.norm, nn.Identity):
        return "it normalises before it pools"
    return None
