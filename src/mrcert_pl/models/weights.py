"""Pre-trained weights for a plain ViT, in the layouts of timm, DeiT and MAE."""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc, resize_rel_pos_bias_table
from torch import Tensor

from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.models.state_dicts import check_fit

# The table of BEiT: one row for each offset of two tokens, and three for the class token.
_RELATIVE = "relative_position_bias_table"
_log = logging.getLogger(__name__)


def check_start(
    num_classes: int, pretrained: bool | None, weights: str | Path | None, head_rows: Sequence[Any] | None
) -> None:
    """Check the settings of the weights that a model starts from, before a file is read or downloaded.

    Args:
        num_classes: Number of classes.
        pretrained: Whether to start from weights of the hub, unless ``weights`` are given.
        weights: Local file.
        head_rows: For each class its row in the head of these weights.

    Raises:
        ConfigurationError: for ``pretrained`` that is neither true nor false, ``head_rows`` without any weights, and
            ``head_rows`` that are not one row for each class.
    """
    if pretrained not in (True, False, None):
        raise ConfigurationError(
            f"model.pretrained must be true or false, got {pretrained!r}; a file is given by model.weights=PATH"
        )
    if head_rows is None:
        return
    if weights is None and not pretrained:
        raise ConfigurationError(
            "head_rows are rows of a pre-trained head, and there are no weights: "
            "give model.weights=PATH or model.pretrained=true, or set model.head_rows=null"
        )
    if isinstance(head_rows, str) or not isinstance(head_rows, Sequence):
        raise ConfigurationError(f"head_rows must be a list with a row for each class, got {head_rows!r}")
    if len(head_rows) != num_classes:
        raise ConfigurationError(
            f"head_rows must name one row for each of the {num_classes} classes, not {len(head_rows)} rows"
        )


def hub_weights(name: str) -> dict[str, Tensor]:
    """Return the weights of a timm tag, head included; needs a network or timm's cache.

    Raises:
        ConfigurationError: if they are unavailable; the message names the alternatives.
    """
    try:
        # As the tag has it, pooling and head included: load_weights alone makes of it what our models need.
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub's clients have many: no network, no such file, no access, a full disk
        reason = next(iter(str(error).splitlines()), "")
        raise ConfigurationError(
            f"the weights of {name!r} can't be loaded from the hub; check the network and the tag, "
            "give a local file: model.weights=PATH, or start from random weights: model.pretrained=false; without a "
            "network HF_HUB_OFFLINE=1 saves the retries of the hub's client "
            f"({type(error).__name__}: {reason})"
        ) from error


def load_weights(vit: Any, weights: Mapping[str, Tensor], source: str, head_rows: Sequence[Any] | None = None) -> bool:
    """Start a ViT, or another model of timm, from pre-trained weights.

    The last norm gets the name that it has in this model: ``norm`` in timm's models pooled by their class token (DeiT,
    augreg, MAE's encoder), ``fc_norm`` in those that average. MAE's decoder is left out. Positions on another grid are
    resampled; as many positions are taken for the same grid.

    A head of as many classes is taken over, otherwise it is replaced by a fresh one, or by the named rows of the old
    one. If it was trained on the class token, it may now read the average of the patch tokens. That is not what it was
    made for, but both live in the space of the same last blocks and norm, and in practice its rows rank the classes
    far better than random ones: a start for fine-tuning, no finished classifier.

    Args:
        vit: the model, changed in place, only if everything fits.
        weights: state dict as :func:`~mrcert_pl.models.state_dicts.read_state_dict` returns it.
        source: where they come from, for messages.
        head_rows: for each new class its row in the old head, as many as :func:`check_start` demands.

    Returns:
        Whether the head is new: its weights are random.

    Raises:
        CheckpointError: if names or shapes don't fit (what doesn't is listed), or the weights were made for another
            mean or standard deviation.
        ConfigurationError: for ``head_rows`` without an old head, or out of range.
    """
    needed = vit.state_dict()
    weights = _renamed(weights, "fc_norm." if "fc_norm.weight" in needed else "norm.")
    _check_normalisation(weights, vit, source)
    weights |= {name: _on_grid(name, weights[name], vit) for name in needed.keys() & weights.keys()}
    layers = vit.pretrained_cfg.get("classifier", "head")
    # Distilled models have two.
    layers = [layers] if isinstance(layers, str) else list(layers)
    parts = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    head = {name: weights.pop(name) for name in parts if name in weights}
    fresh = {name: needed[name] for name in parts if name in needed}
    old = len(head[parts[0]]) if parts[0] in head else None
    new = head_rows is None and old != vit.num_classes
    if head_rows is not None:
        rows = _checked_rows(head_rows, old, source)
        head = {name: value[rows] for name, value in head.items()}
        done = f"its head from {len(rows)} rows of {old}"
    elif new:
        head = fresh
        done = f"with a fresh head of {vit.num_classes} classes" + (f" instead of {old}" if old else "")
    else:
        done = f"with its head of {old} classes"
    weights |= head
    check_fit(weights, needed, source, type(vit).__name__)
    vit.load_state_dict(weights)
    _log.info("started from %s, %s", source, done)
    return new


def _renamed(weights: Mapping[str, Tensor], last_norm: str) -> dict[str, Tensor]:
    """The encoder of the weights, its last norm named as in the model that they are for."""
    kept = {name: x for name, x in weights.items() if name != "mask_token" and not name.startswith("decoder_")}
    if not any(name.startswith(last_norm) for name in kept):
        other = "norm." if last_norm == "fc_norm." else "fc_norm."
        kept = {last_norm + k.removeprefix(other) if k.startswith(other) else k: x for k, x in kept.items()}
    return kept


def _check_normalisation(weights: dict[str, Tensor], vit: Any, source: str) -> None:
    """Compare mean and std with those of the tag; only models of this package store theirs with the weights."""
    for name in ("mean", "std"):
        theirs, ours = weights.pop(name, None), torch.tensor(vit.pretrained_cfg[name])
        if theirs is not None and not torch.allclose(theirs.float().flatten(), ours, atol=1e-3):
            values = [[round(x, 4) for x in tensor.flatten().tolist()] for tensor in (theirs, ours)]
            raise CheckpointError(
                f"{source} was trained with {name} {values[0]}, and the backbone has {values[1]}; "
                "name the backbone's tag that it was trained from"
            )


def _on_grid(name: str, theirs: Tensor, net: Any) -> Tensor:
    """Positions or biases of relative positions, resampled if only the grid differs; anything else as it is."""
    parent, _, last = name.rpartition(".")
    needed = getattr(net.get_submodule(parent), last)
    if last not in ("pos_embed", _RELATIVE) or theirs.ndim != needed.ndim or theirs.shape == needed.shape:
        return theirs
    if theirs.shape[-1] != needed.shape[-1]:
        return theirs
    if last == _RELATIVE:
        with warnings.catch_warnings():
            # How timm's interpolation indexes tensors is no concern of the user.
            warnings.filterwarnings("ignore", module=r"timm\.layers\.interpolate")
            return resize_rel_pos_bias_table(theirs, net.get_submodule(parent).window_size, needed.shape)
    if theirs.ndim == 4:
        return resample_abs_pos_embed_nhwc(theirs, list(needed.shape[1:3]))
    prefix = 0 if getattr(net, "no_embed_class", False) else net.num_prefix_tokens
    side = math.isqrt(max(theirs.shape[1] - prefix, 0))
    if side == 0 or side**2 + prefix != theirs.shape[1]:
        return theirs
    return resample_abs_pos_embed(theirs, list(net.patch_embed.grid_size), [side, side], num_prefix_tokens=prefix)


def _checked_rows(rows: Sequence[Any], old: int | None, source: str) -> list[int]:
    if old is None:
        raise ConfigurationError(
            f"head_rows are given, and {source} has no head to take them from; set head_rows to null"
        )
    if wrong := [row for row in rows if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < old]:
        raise ConfigurationError(f"head_rows must be from 0 to {old - 1}, the head of {source}; not {wrong}")
    return list(rows)
