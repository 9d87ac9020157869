"""Plain Vision Transformers from timm, by their full tag."""

from typing import Any

import timm
from timm.layers import PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from mrcert_pl.errors import ConfigurationError


def plain_vit(name: str, num_classes: int, pretrained: bool = False, **arguments: Any) -> VisionTransformer:
    """A plain ViT with average pooling over its patch tokens.

    Plain means: non-overlapping square-grid patch embedding, learned positions, one class token and no registers,
    standard pre-norm blocks. Only then does a window's feature depend on its own pixels and a hidden token on
    nothing but the number of its equals (docs/theory.md, Theorem 5).

    Args:
        name: timm model name with its tag, e.g. ``vit_base_patch16_224.mae``.
        num_classes: outputs of the head.
        pretrained: load the tag's weights from the hub (needs a network, or timm's cache).
        arguments: further arguments of the timm model, e.g. ``depth`` or ``embed_dim``.

    Raises:
        ConfigurationError: for an unknown name, arguments that timm refuses, a model that is not a plain ViT, or
            weights that can't be had.
    """
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        similar = timm.list_models(f"*{architecture.split('_patch')[0]}*", module="vision_transformer")[:8]
        hint = f"; similar ones: {', '.join(similar)}" if similar else "; see timm.list_models('vit_*')"
        raise ConfigurationError(f"timm has no model {name!r}{hint}")
    try:
        model: Any = timm.create_model(
            name, pretrained=pretrained, num_classes=num_classes, global_pool="avg", **arguments
        )
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"timm can't make {name!r} with {arguments}: {error}") from error
    except Exception as error:
        if not pretrained:
            raise
        raise ConfigurationError(
            f"the weights of {name!r} can't be loaded from the hub ({type(error).__name__}); "
            "check the network, or start without them: model.pretrained=false"
        ) from error
    if reason := _not_plain(model):
        raise ConfigurationError(f"{name!r} is not a plain ViT: {reason}; take one such as vit_base_patch16_224.mae")
    return model


def _not_plain(model: Any) -> str | None:
    if not isinstance(model, VisionTransformer):
        return f"it is a {type(model).__name__}"
    if any(type(block) is not Block for block in model.blocks):
        return "its blocks are not standard pre-norm blocks"
    if model.cls_token is None or model.num_reg_tokens:
        return "it needs one class token and no registers"
    if model.pos_embed is None:
        return "it has no learned positions"
    # A convolutional stem or overlapping patches would let a window see the pixels of its neighbours.
    if type(model.patch_embed) is not PatchEmbed or model.dynamic_img_size:
        return "its patch embedding is not a fixed grid of patches"
    if not isinstance(model.norm, nn.Identity):
        return "it normalises before it pools"
    return None
