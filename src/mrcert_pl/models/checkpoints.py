"""Checkpoints: their description, their integrity, and how a model is restored from one."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.integrity import check_description, check_integrity, digest_of, with_digest
from mrcert_pl.models.patchcure import load_patchcure
from mrcert_pl.models.protocols import SavedModel, Weighted

__all__ = [
    "Checkpoint",
    "base_weights",
    "describe_model",
    "differing",
    "load_patchcure",
    "read_checkpoint",
    "read_description",
    "restore",
    "upgraded",
    "weights_digest",
    "with_digest",
    "write_weights",
]

_FORMAT = 1
_PREFIX = "model."
_OTHER_WEIGHTS = (
    "Other weights are what a training starts from:  mrcert train model.weights=FILE\n"
    "or those of a classifier with masks of pixels:  model=blackbox model.backbone=TAG model.weights=FILE patch=32"
)
# Settings in which an evaluation may differ from its checkpoint: the weights don't depend on them.
FREE_SETTINGS = {"views"}


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a base model and what they were trained for.

    Attributes:
        path: The file.
        origin: Description by :func:`describe_model`, with ``dataset``, ``classes``, ``patch`` and the digests.
        weights: State dict of the base model.
    """

    path: Path
    origin: Mapping[str, Any]
    weights: Mapping[str, Tensor]


def describe_model(model: SavedModel) -> dict[str, Any]:
    """Plain values that identify a model, for a checkpoint."""
    return {"format": _FORMAT, "model": type(model).__name__, "config": model.config}


def upgraded(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description of :func:`describe_model` of an earlier version, with the settings that the model has now.

    Earlier versions called the setting ``hidden_tokens`` of ViT-SRF ``hidden``, and the first ones had ``zero`` alone.
    """
    config = dict(description["config"])
    if description["model"] == "ViTSRF" and "hidden_tokens" not in config:
        config["hidden_tokens"] = config.pop("hidden", "zero")
    return {**description, "config": config}


def read_checkpoint(path: str | Path, made_by: str | None = None) -> Checkpoint:
    """Read a checkpoint of ``train.py`` or a ``.safetensors`` file of :func:`write_weights`.

    Only plain values and tensors are unpickled. Weights and description are compared with their digests.

    Args:
        path: The file.
        made_by: Command that makes it, for the error if it is missing.

    Raises:
        CheckpointError: if it is missing, truncated, damaged, malformed, or not a checkpoint of this project.
    """
    path = _existing(path, made_by)
    origin, weights = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    check_integrity(path, origin, weights)
    return Checkpoint(path, upgraded(origin), weights)


def read_description(path: str | Path) -> dict[str, Any]:
    """Read the description of a model in a checkpoint, without the weights: fast, but the weights may be damaged.

    Args:
        path: The file.

    Raises:
        CheckpointError: if it is missing, unreadable, malformed, or not a checkpoint of this project.
    """
    path = _existing(path)
    if path.suffix == ".safetensors":
        origin, _ = _read_safetensors(path, weights=False)
    else:
        origin, _ = _read_torch(path, device="meta")
    check_description(path, origin)
    return upgraded(origin)


def _existing(path: str | Path, made_by: str | None = None) -> Path:
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; give the file of a checkpoint, such as {path / 'best.ckpt'}")
    if not path.is_file():
        hint = f"make it with:  {made_by}" if made_by else "mrcert train makes checkpoints/.../best.ckpt"
        raise CheckpointError(f"there is no checkpoint {path}; {hint}")
    return path


def _read_torch(path: Path, device: str = "cpu") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return description and weights of a file of ``torch.save``; tensors on ``meta`` are not read."""
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        # What torch raises depends on the byte at which a file stops making sense: anything from EOFError to TypeError.
        raise CheckpointError(
            f"{path} can't be read as a checkpoint: it is truncated, damaged, something else, or holds Python objects "
            "beside plain values and tensors, which are never unpickled"
        ) from error
    if not (isinstance(content, dict) and isinstance(content.get("state_dict"), dict)):
        content = {}
    foreign = (
        "a PyTorch file, but not a checkpoint that train.py made. One of PatchCURE's is converted by:  "
        f"{_convert(path)} --patchcure DATASET --window 14 1\n{_OTHER_WEIGHTS}"
    )
    origin = _checked_origin(content.get("mrcert"), path, foreign)
    return origin, base_weights(content["state_dict"])


def base_weights(state_dict: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the base model's part of a LightningModule's state dict."""
    return {
        str(name).removeprefix(_PREFIX): value for name, value in state_dict.items() if str(name).startswith(_PREFIX)
    }


def _read_safetensors(path: Path, weights: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return description and weights of a safetensors file, or the description alone."""
    try:
        with safe_open(path, framework="pt") as file:
            origin = json.loads((file.metadata() or {}).get("mrcert", "null"))
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())} if weights else {}
    except Exception as error:
        # A damaged header makes the reader raise anything, its descriptions of types included.
        raise CheckpointError(f"{path} can't be read as safetensors, it is truncated or damaged: {error}") from error
    strange = (
        "a safetensors file without a description of its model: expected one that was made by:  "
        f"mrcert convert CHECKPOINT {shlex.quote(str(path))}\n{_OTHER_WEIGHTS}"
    )
    return _checked_origin(origin, path, strange), tensors


def _convert(path: Path) -> str:
    """Command that converts a checkpoint and prints the command that evaluates it."""
    return shlex.join(["mrcert", "convert", str(path), "converted.safetensors"])


def _checked_origin(origin: Any, path: Path, otherwise: str) -> dict[str, Any]:
    if not (isinstance(origin, dict) and "model" in origin and isinstance(origin.get("config"), dict)):
        raise CheckpointError(f"{path} is {otherwise}")
    if origin.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {origin.get('format')}; "
            f"this version reads {_FORMAT}; take the one that made it"
        )
    return origin


def write_weights(path: Path, weights: Mapping[str, Tensor], origin: Mapping[str, Any], half: bool = False) -> None:
    """Write weights, their description and the digests of both as safetensors, without the state of the optimiser.

    Args:
        path: File that ends in ``.safetensors``.
        weights: State dict of a base model.
        origin: Description by :func:`describe_model`, and further plain values.
        half: Store numbers as float16: half the size, rounded to about three digits.
    """
    tensors = {
        name: value.detach().to(torch.float16 if half and value.is_floating_point() else value.dtype).cpu().contiguous()
        for name, value in weights.items()
    }
    save_file(tensors, path, metadata={"mrcert": json.dumps(with_digest(origin, tensors))})


def restore(model: SavedModel, checkpoint: Checkpoint) -> None:
    """Load the weights of a checkpoint into a model of the same description.

    Raises:
        CheckpointError: if the checkpoint describes another kind of model or other settings (the differences are
            named), or if its tensors differ from those of the model in name, shape or kind of number.
    """
    ours, theirs = describe_model(model), upgraded(checkpoint.origin)
    if theirs["model"] != ours["model"]:
        raise CheckpointError(
            f"{checkpoint.path} holds a {theirs['model']}, and the configuration names {ours['model']}; "
            f"give its own model=, or another checkpoint. What evaluates it is printed by:  {_convert(checkpoint.path)}"
        )
    names = {*ours["config"], *theirs["config"]} - FREE_SETTINGS
    if differences := differing(theirs["config"], ours["config"], names):
        raise CheckpointError(
            f"{checkpoint.path} was made from another model:\n  "
            + "\n  ".join(differences)
            + "\ngive the settings that it was trained with, or another checkpoint. What evaluates it is printed by:  "
            + _convert(checkpoint.path)
        )
    needed = model.state_dict()
    for name, value in checkpoint.weights.items():
        # Between floating-point types a value is converted; any other conversion is an error.
        kind = needed[name].dtype if name in needed else value.dtype
        if kind != value.dtype and not (kind.is_floating_point and value.is_floating_point()):
            raise CheckpointError(f"{checkpoint.path} has {name} in {value.dtype}, and the model has it in {kind}")
    try:
        model.load_state_dict(dict(checkpoint.weights))
    except RuntimeError as error:
        raise CheckpointError(f"the tensors of {checkpoint.path} don't fit its own description: {error}") from error


def differing(theirs: Mapping[str, Any], ours: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """List the settings in which a checkpoint and the configuration differ, one line each."""
    return [
        f"{name}: {theirs.get(name)!r} in the checkpoint, {ours.get(name)!r} in the configuration"
        for name in sorted(names)
        if theirs.get(name) != ours.get(name)
    ]


def weights_digest(model: Weighted) -> str:
    """SHA-256 of a model's state dict; it does not depend on the file of the weights."""
    return digest_of(model.state_dict())
