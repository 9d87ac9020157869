"""A model from its checkpoint alone: kinds from a fixed table, settings of checked types."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.checkpoints import Checkpoint, restore

_KINDS: dict[str, type[nn.Module]] = {kind.__name__: kind for kind in (AblatedViT, BlackBox, MaskedViT, ViTSRF)}
# Settings that describe a model; where its weights came from (pretrained, weights, head_rows) is not one of them.
_SETTINGS: Mapping[str, tuple[type, ...]] = {
    "backbone": (str,),
    "num_classes": (int,),
    "window": (list, tuple),
    "split": (int,),
    "head_order": (str,),
    "hidden": (str,),
    "hidden_tokens": (str,),
    "kind": (str,),
    "width": (int,),
    "token_mode": (str,),
    "fill": (str, int, float),
    "patch": (int, str, list, tuple),
    "masks_per_axis": (int,),
    "image_px": (list, tuple),
    "backbone_args": (dict,),
}
# Arguments of timm.create_model that read a file or a network.
_LOADING = (
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_strict",
    "checkpoint_path",
    "cache_dir",
)
# "hf-hub:..." and "local-dir:..." would be read by timm.
_TAG = re.compile(r"[A-Za-z0-9_.]+")


def rebuild(checkpoint: Checkpoint) -> nn.Module:
    """Build the base model that a checkpoint describes, with its weights, in evaluation mode.

    Nothing is loaded from a network or from another file. The shapes of the weights are compared before memory is
    reserved.

    Raises:
        CheckpointError: for an unknown kind of model, for settings that are unknown, invalid or would load other
            files, or if the tensors don't fit.
    """
    kind, config = checkpoint.origin["model"], checkpoint.origin["config"]
    if kind not in _KINDS:
        raise CheckpointError(f"{checkpoint.path} holds a {kind}; this version knows {', '.join(sorted(_KINDS))}")
    _check_settings(checkpoint.path, kind, config)

    def build() -> nn.Module:
        try:
            return _KINDS[kind](**config)
        except Exception as error:
            # Whatever timm raises for a description that makes no model.
            raise CheckpointError(
                f"{checkpoint.path} has settings of {kind} that this version doesn't know ({error}); "
                "take the version that made it, or train again"
            ) from error

    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is copied into meta tensors
        restore(build(), checkpoint)
    model = build()
    restore(model, checkpoint)
    return model.eval()


def _check_settings(path: Path, kind: str, config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        if name not in _SETTINGS:
            raise CheckpointError(
                f"{path} has settings of {kind} that this version doesn't know ({name}); "
                "take the version that made it, or train again"
            )
        if type(value) not in _SETTINGS[name] and not (name == "backbone_args" and value is None):
            expected = " or ".join(known.__name__ for known in _SETTINGS[name])
            raise CheckpointError(f"{path} is malformed: {name} of {kind} must be {expected}, got {value!r}")
    if not _TAG.fullmatch(config.get("backbone", "vit")):
        raise CheckpointError(f"{path} names the backbone {config['backbone']!r}, which is not a tag of timm")
    if loading := [name for name in _LOADING if name in (config.get("backbone_args") or {})]:
        raise CheckpointError(f"{path} would load other files by {', '.join(loading)} of its backbone; this is refused")
