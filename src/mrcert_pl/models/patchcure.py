"""Checkpoints of PatchCURE's and MRCert's published code, as ViT-SRF."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.backbones import averaging_vit
from mrcert_pl.models.state_dicts import check_fit, listed, read_state_dict, tensors_of
from mrcert_pl.models.vit_srf import HeadOrder, ViTSRF

_Half = dict[int, dict[str, Tensor]]

_PARAMETERS = ("0.cls_token", "0.pos_embed")
_LAYER = re.compile(r"(0\.pre|1\.post)_layers\.(\d+)\.(.+)")


def load_patchcure(
    weights: str | Path | Mapping[str, Any],
    *,
    window: Sequence[int],
    backbone: str = "vit_base_patch16_224.mae",
    split: int | None = None,
    num_classes: int | None = None,
    head_order: HeadOrder = "norm_pool",
    backbone_args: Mapping[str, Any] | None = None,
) -> ViTSRF:
    """Read the state dict of PatchCURE's ``nn.Sequential(srf, lrf)``: the same logits as theirs for every mask.

    Their halves hold the children of a timm ViT by position: ``0.cls_token``, ``0.pos_embed``, ``0.pre_layers.0`` is
    the patch embedding, later ones the SRF blocks; ``1.post_layers`` are the LRF blocks, then ``fc_norm``, then the
    head. Where exactly a layer stands depends on the version of timm (parameterless children count too), so layers
    are told apart by their parameters, and blocks are counted.

    The split and the number of classes are read from the file. Images are normalised with ImageNet's mean and
    standard deviation, as their data loader does for every backbone. Their models without a split (``mae_*``,
    ``vitsrf14x2_masked``) are saved as plain timm state dicts; ``ViTSRF(weights=...)`` can start from those.

    Args:
        weights: their ``.pth.tar``, or its content: a state dict, or one under ``state_dict`` or ``model``.
        window: ``(height, width)`` of a window in tokens, ``vitsrf14x2`` is ``(14, 2)``. It leaves no trace in the
            weights: a wrong one that divides the token grid gives wrong labels, not an error.
        backbone: the timm ViT that theirs is made from.
        split: number of SRF blocks, to be checked against the file.
        num_classes: outputs of the head, to be checked against the file.
        head_order: ``norm_pool`` is what their code computes with timm 0.9 and later, whose head has a dropout between
            norm and linear layer; with earlier ones it pooled first. A file numbered by such a version gets a warning.
        backbone_args: further arguments of the timm model.

    Raises:
        CheckpointError: for a file that can't be read, one without these two halves, and a backbone, split or number
            of classes that isn't the file's, naming both.
        ConfigurationError: for a window that doesn't divide the token grid, or a backbone without a grid of tokens.
    """
    if isinstance(weights, Mapping):
        source, state = "the state dict", tensors_of(weights, "the state dict")
    else:
        source, state = str(weights), read_state_dict(weights)
    layers = _layers(state, source)
    found_split, renamed = _renamed(state, layers, source)
    for name, given, found in (
        ("split", split, found_split),
        ("num_classes", num_classes, len(renamed["head.weight"])),
    ):
        if given is not None and given != found:
            raise CheckpointError(f"{source} has {name} {found}, not {given}")
    if head_order == "norm_pool" and _pooled_first(layers[1]):
        warnings.warn(
            f"{source} is numbered by a timm before 0.9, with which PatchCURE's code averages before it normalises: if "
            "it was trained and measured that way, give head_order='pool_norm'",
            stacklevel=2,
        )
    arguments = dict(backbone_args or {})
    classes = len(renamed["head.weight"])
    with torch.device("meta"):
        needed = averaging_vit(backbone, classes, **arguments)[0].state_dict()
    check_fit(renamed, needed, source, backbone)
    model = ViTSRF(backbone, False, classes, window, found_split, head_order, arguments)
    normalisation = {
        name: torch.tensor(values).view(1, -1, 1, 1)
        for name, values in (("mean", IMAGENET_DEFAULT_MEAN), ("std", IMAGENET_DEFAULT_STD))
    }
    model.load_state_dict(renamed | normalisation)
    return model


def _layers(state: Mapping[str, Tensor], source: str) -> tuple[_Half, _Half]:
    """The layers of both halves by position, each a state dict of its own.

    Raises:
        CheckpointError: if there is anything else, or no such halves.
    """
    halves: tuple[_Half, _Half] = ({}, {})
    for name, value in state.items():
        if found := _LAYER.fullmatch(name):
            halves[int(found[1][0])].setdefault(int(found[2]), {})[found[3]] = value
    other = [name for name in state if not _LAYER.fullmatch(name) and name not in _PARAMETERS]
    missing = [name for name in _PARAMETERS if name not in state]
    if other or missing or not all(halves):
        problems = {"without": missing, "with": other}
        raise CheckpointError(
            f"{source} is not laid out as PatchCURE's nn.Sequential(srf, lrf): expected 0.cls_token, 0.pos_embed, "
            "0.pre_layers.* and 1.post_layers.*; found it "
            + ("; ".join(f"{kind} {listed(names)}" for kind, names in problems.items() if names) or "without layers")
            + ". Plain timm weights are read by ViTSRF(weights=...)"
        )
    return halves


def _renamed(state: Mapping[str, Tensor], layers: tuple[_Half, _Half], source: str) -> tuple[int, dict[str, Tensor]]:
    """The number of SRF blocks, and all weights by the names that a timm ViT has for them.

    Raises:
        CheckpointError: for a layer of an unknown kind, two of a kind that stands alone, or no head.
    """
    renamed = {name.removeprefix("0."): state[name] for name in _PARAMETERS}
    blocks = [0, 0]
    for half, positions in enumerate(layers):
        for position, parameters in sorted(positions.items()):
            kind = _kind(half, parameters)
            if kind == "blocks":
                kind = f"blocks.{sum(blocks)}"
                blocks[half] += 1
            where = f"{half}.{'post' if half else 'pre'}_layers.{position}"
            if kind is None:
                raise CheckpointError(f"{source} has a layer of an unknown kind at {where}: {listed(parameters)}")
            for name, value in parameters.items():
                if renamed.setdefault(f"{kind}.{name}", value) is not value:
                    raise CheckpointError(f"{source} has a second layer of the kind {kind} at {where}")
    if "head.weight" not in renamed:
        raise CheckpointError(f"{source} has no head in 1.post_layers")
    return blocks[0], renamed


def _kind(half: int, parameters: Mapping[str, Tensor]) -> str | None:
    """What a layer is in a timm ViT, by its parameters."""
    if "norm1.weight" in parameters:
        return "blocks"
    if half == 0 and "proj.weight" in parameters:
        return "patch_embed"
    if "weight" not in parameters:
        return None
    if parameters["weight"].ndim == 2 and half == 1:
        return "head"
    return "fc_norm" if half else "norm_pre"


def _pooled_first(post: _Half) -> bool:
    """Whether the norm directly precedes the head, without the dropout that timm has between them since 0.9."""
    last = sorted(post)[-2:]
    return len(last) == 2 and last[1] - last[0] == 1
