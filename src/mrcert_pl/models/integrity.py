"""Integrity of checkpoints: digests of weights and description, plain values of known types."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrcert_pl.errors import CheckpointError, short

_log = logging.getLogger(__name__)
_WEIGHTS, _DESCRIPTION = "weights_sha256", "description_sha256"
# float64 and 8-bit floats would be cast silently; integers are buffers, such as the counters of batch norms.
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "model": (str,),
    "config": (dict,),
    "name": (str,),
    "dataset": (str,),
    "classes": (list, tuple),
    "patch": (int, str, list, tuple),
    "patches": (int,),
    "stride": (int, list, tuple),
    "seed": (int, type(None)),
    "resize": (str, type(None)),
    "stage": (str, type(None)),
    _WEIGHTS: (str,),
    _DESCRIPTION: (str,),
}
_noticed: set[Path] = set()


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and bytes of a state dict."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def with_digest(origin: Mapping[str, Any], state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Add to the description of a checkpoint the digests that :func:`check_integrity` compares.

    Args:
        origin: Plain values that describe the model.
        state_dict: State dict of the base model, as it is saved.
    """
    described = {**origin, _WEIGHTS: digest_of(state_dict)}
    return {**described, _DESCRIPTION: _description_digest(described)}


def check_description(path: Path, origin: Mapping[str, Any]) -> None:
    """Compare a checkpoint's description with its digest, and check its types.

    Args:
        path: The file, for messages.
        origin: Its description.

    Raises:
        CheckpointError: if the digest differs, or a value is not of its type.
    """
    for name, kinds in _TYPES.items():
        if name in origin and type(origin[name]) not in kinds:
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise CheckpointError(f"{path} is malformed: {name} must be {expected}, got {short(repr(origin[name]))}")
    if wrong := next(_not_plain(origin), None):
        raise CheckpointError(
            f"{path} is malformed: its description must hold plain values, got {short(repr(wrong[0]))}"
        )
    if _has_digests(origin) and _description_digest(origin) != origin[_DESCRIPTION]:
        raise CheckpointError(f"{path} is damaged: its description differs from the digest of the description")


def check_integrity(path: Path, origin: Mapping[str, Any], weights: Mapping[Any, Any]) -> None:
    """Compare a checkpoint's weights and description with their digests, and check all types.

    A file without digests, of an earlier version, is accepted with one warning in the log.

    Args:
        path: The file, for messages.
        origin: Its description.
        weights: State dict of its base model.

    Raises:
        CheckpointError: if a digest differs, a value is not of its type, or a tensor is of an unexpected type.
    """
    check_description(path, origin)
    for name, value in weights.items():
        if not (isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided):
            raise CheckpointError(f"{path} is malformed: {short(repr(name))} is not a dense tensor with a name")
        if value.dtype not in _DTYPES:
            raise CheckpointError(
                f"{path} has {name} in {value.dtype}; weights must be float32, float16 or bfloat16, since another type "
                "would be rounded silently"
            )
    if not _has_digests(origin):
        if path not in _noticed:
            _noticed.add(path)
            _log.warning(
                "%s has no digest of its weights, so damage can't be detected; mrcert convert writes a file with one",
                path,
            )
        return
    if digest_of(weights) != origin[_WEIGHTS]:
        raise CheckpointError(f"{path} is damaged: its weights differ from their digest; take another copy of it")


def _has_digests(origin: Mapping[str, Any]) -> bool:
    return _WEIGHTS in origin and _DESCRIPTION in origin


def _description_digest(origin: Mapping[str, Any]) -> str:
    described = {name: value for name, value in origin.items() if name != _DESCRIPTION}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _not_plain(value: Any, depth: int = 0) -> Any:
    """Parts of a nested value that are not plain, each as a tuple of one."""
    if type(value) is dict and depth < 8:
        for name, part in value.items():
            if type(name) is not str:
                yield (name,)
            yield from _not_plain(part, depth + 1)
    elif type(value) in (list, tuple) and depth < 8:
        for part in value:
            yield from _not_plain(part, depth + 1)
    elif type(value) not in (str, int, float, bool, type(None)):
        yield (value,)
