"""The attacked model in a header: a class of this package, built without files and without the network."""

import re
from collections.abc import Mapping
from typing import Any

from mrcert_pl.data.untrusted_values import plain
from mrcert_pl.initial_weights import INITIAL_WEIGHTS

MODEL_KINDS = {"blackbox": "BlackBox", "column_vit": "AblatedViT", "masked_vit": "MaskedViT", "vit_srf": "ViTSRF"}
"""Kinds of models that a header may name, and their classes in :mod:`mrcert_pl.models`."""

_MODULE = "mrcert_pl.models."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
# Arguments of timm.create_model that open files or the network.
_OPENS = ("cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "weights")


def target_of(kind: str) -> str:
    """Return the import path of a kind's class."""
    return f"{_MODULE}{MODEL_KINDS[kind]}"


def model_of(model: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return kind and settings of a model; both empty for another class or settings that open files or the network."""
    settings = plain({key: value for key, value in model.items() if key not in ("name", "_target_")})
    # Nothing is loaded or fetched.
    settings |= {key: value for key, value in INITIAL_WEIGHTS.items() if key in settings}
    kinds = {kind: kind for kind in MODEL_KINDS} | {target_of(kind): kind for kind in MODEL_KINDS}
    kind = kinds.get(str(model.get("_target_", model.get("name"))), "")
    return (kind, settings) if kind and _is_closed(settings) else ("", {})


def _is_closed(settings: Mapping[str, Any]) -> bool:
    """Whether settings build a model without a file and without the network."""
    backbone = settings.get("backbone")
    # A tag of timm's: with a scheme ("hf-hub:", "local-dir:") timm opens the network or a folder.
    if backbone is not None and not (isinstance(backbone, str) and _NAME.fullmatch(backbone)):
        return False
    return not any(_opens(value) for key, value in settings.items() if key not in INITIAL_WEIGHTS)


def _opens(value: Any) -> bool:
    """Whether a mapping has an argument of timm's that opens files or the network."""
    if isinstance(value, list):
        return any(map(_opens, value))
    return isinstance(value, Mapping) and any(key in _OPENS or _opens(each) for key, each in value.items())
