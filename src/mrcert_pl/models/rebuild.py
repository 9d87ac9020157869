"""A model from its checkpoint alone: kinds from a fixed table, settings of checked types."""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.checkpoints import Checkpoint, restore
from mrcert_pl.models.registry import kinds

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
    "views": (str,),
}
# Arguments of our models and of timm.create_model that read a file or a network.
_LOADING = (
    "weights",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_strict",
    "checkpoint_path",
    "cache_dir",
)
# "hf-hub:..." and "local-dir:..." would be read by timm.
_TAG = re.compile(r"[A-Za-z0-9_.]+")


def rebuild(checkpoint: Checkpoint, given: Any = None, free: Mapping[str, Any] | None = None) -> Any:
    """Build the base model that a checkpoint describes, with its weights, in evaluation mode.

    Nothing is loaded from a network or from another file. The shapes of the weights are compared before memory is
    reserved.

    Args:
        checkpoint: the checkpoint.
        given: class that the user names; the checkpoint may be of it without its being registered.
        free: values of settings that the weights don't depend on
            (:data:`~mrcert_pl.models.checkpoints.FREE_SETTINGS`), in place of those of the checkpoint.

    Raises:
        CheckpointError: for an unknown kind of model, for settings that are unknown, invalid or would load other
            files, or if the tensors don't fit.
    """
    origin = dict(checkpoint.origin)
    if free and isinstance(origin.get("config"), Mapping):
        origin["config"] = {**origin["config"], **free}
    geometry = geometry_of(origin, checkpoint.path, given)
    with _quiet_meta():
        restore(geometry, checkpoint)
    model = _build(origin, checkpoint.path, given)
    restore(model, checkpoint)
    return model.eval()


def geometry_of(origin: Mapping[str, Any], path: Path, given: Any = None) -> Any:
    """Build the base model of a description without memory for its weights: its windows, masks and costs.

    Args:
        origin: ``model``, the name of a registered class, and ``config``, its settings.
        path: file of the description, for errors.
        given: class that the user names.

    Raises:
        CheckpointError: as :func:`rebuild`.
    """
    with torch.device("meta"), _quiet_meta():
        return _build(origin, path, given).eval()


@contextmanager
def _quiet_meta() -> Iterator[None]:
    """Suppress the warnings that nothing is copied into tensors without memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def settings_of(origin: Mapping[str, Any], path: Path, given: Any = None) -> tuple[type[nn.Module], Mapping[str, Any]]:
    """Return the class of the base model that a checkpoint describes, and its checked settings.

    Args:
        origin: ``model``, the name of a registered class, and ``config``, its settings.
        path: file of the description, for errors.
        given: class that the user names.

    Raises:
        CheckpointError: for an unknown kind of model, and for settings that are unknown, invalid or would load files.
    """
    kind, config, known = origin.get("model"), origin.get("config"), kinds()
    if isinstance(given, type):
        known[given.__name__] = given
    if not isinstance(kind, str) or not isinstance(config, Mapping):
        raise CheckpointError(f"{path} is malformed: its description must have model, a name, and config, settings")
    if kind not in known:
        raise CheckpointError(
            f"{path} holds a {kind}; this version knows {', '.join(sorted(known))}. "
            "Another one is registered by its own file, which must be imported first"
        )
    _check_settings(path, known[kind], config)
    return known[kind], config


def _build(origin: Mapping[str, Any], path: Path, given: Any) -> Any:
    kind, config = settings_of(origin, path, given)
    try:
        return kind(**config)
    except Exception as error:
        # Whatever timm raises for a description that makes no model.
        raise CheckpointError(
            f"{path} has settings of {kind.__name__} that this version doesn't know ({error}); "
            "take the version that made it, or train again"
        ) from error


def _check_settings(path: Path, kind: type[nn.Module], config: Mapping[str, Any]) -> None:
    ours = kind.__module__.startswith("mrcert_pl.")
    for name, value in config.items():
        if name in _LOADING:
            raise CheckpointError(f"{path} would load other files by {name} of {kind.__name__}; this is refused")
        if name not in _SETTINGS and not ours:
            # A class that the user has imported checks its own settings.
            continue
        if name not in _SETTINGS:
            raise CheckpointError(
                f"{path} has settings of {kind.__name__} that this version doesn't know ({name}); "
                "take the version that made it, or train again"
            )
        if type(value) not in _SETTINGS[name] and not (name == "backbone_args" and value is None):
            expected = " or ".join(known.__name__ for known in _SETTINGS[name])
            raise CheckpointError(f"{path} is malformed: {name} of {kind.__name__} must be {expected}, got {value!r}")
    if not _TAG.fullmatch(config.get("backbone", "vit")):
        raise CheckpointError(f"{path} names the backbone {config['backbone']!r}, which is not a tag of timm")
    if loading := [name for name in _LOADING if name in (config.get("backbone_args") or {})]:
        raise CheckpointError(f"{path} would load other files by {', '.join(loading)} of its backbone; this is refused")
