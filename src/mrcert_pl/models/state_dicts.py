"""State dicts of other projects: read from a file without running code, and compared with what a model needs."""

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mrcert_pl.errors import CheckpointError

# Entries in which training scripts save weights, the averaged ones first, as in timm.
_ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model")
_WRAPPERS = re.compile(r"^((module|_orig_mod)\.)+")
_MOST_LISTED = 10


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name.

    Reads safetensors and PyTorch files: bare state dicts, those of MAE and DeiT (``model``), of timm's training
    script (``state_dict``, ``state_dict_ema``) and checkpoints of this project. Averaged weights (EMA) are preferred.
    The prefixes of ``DataParallel`` and ``torch.compile`` are removed.

    Raises:
        CheckpointError: if the file is missing, truncated, something else, holds Python objects, or no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}; give the path of a safetensors or PyTorch file")
    if path.suffix == ".safetensors":
        try:
            return without_wrappers(load_file(path))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} can't be read as safetensors, it is truncated or damaged: {error}"
            ) from error
    return tensors_of(_unpickled(path), str(path))


def tensors_of(content: Any, source: str) -> dict[str, Tensor]:
    """The state dict in what a training script saved: the content itself or one of its entries.

    Raises:
        CheckpointError: if there is none.
    """
    ours = isinstance(content, Mapping) and "mrcert" in content
    if isinstance(content, Mapping):
        content = next((content[entry] for entry in _ENTRIES if isinstance(content.get(entry), Mapping)), content)
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(
            f"{source} holds no state dict: expected tensors by name, at the top or under {', '.join(_ENTRIES)}; "
            f"found {_summary(content)}"
        )
    if strange := [str(name) for name, value in content.items() if not isinstance(value, Tensor)]:
        raise CheckpointError(f"the state dict of {source} holds entries that are no tensors: {listed(strange)}")
    if ours:
        content = {name.removeprefix("model."): x for name, x in content.items() if name.startswith("model.")}
    return without_wrappers(content)


def without_wrappers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without the prefixes that ``DataParallel`` and ``torch.compile`` give."""
    return {_WRAPPERS.sub("", name): value for name, value in weights.items()}


def check_fit(weights: Mapping[str, Tensor], needed: Mapping[str, Tensor], source: str, model: str) -> None:
    """Compare names and shapes of weights with those that a model needs.

    Raises:
        CheckpointError: if they differ, with what is missing, unexpected, or of another shape; at most ten each.
    """
    differences = {
        "missing": [name for name in needed if name not in weights],
        "unexpected": [name for name in weights if name not in needed],
        "of another shape": [
            f"{name} {list(weights[name].shape)} instead of {list(value.shape)}"
            for name, value in needed.items()
            if name in weights and weights[name].shape != value.shape
        ],
    }
    if any(differences.values()):
        lines = [f"{len(names)} {kind}: {listed(names)}" for kind, names in differences.items() if names]
        raise CheckpointError(
            f"{source} doesn't fit {model}:\n  "
            + "\n  ".join(lines)
            + "\nname the backbone (and its arguments) that these weights were made for, or give other weights"
        )


def listed(names: Iterable[str]) -> str:
    """Names in one line, at most ten of them."""
    names = list(names)
    rest = f", and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + rest


def _unpickled(path: Path) -> Any:
    try:
        # The training scripts of MAE, DeiT and timm save their arguments with the weights. A namespace is as plain as
        # a dict: it runs nothing when it is made or filled.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can make the unpickler raise anything
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if not refused:
            raise CheckpointError(
                f"{path} can't be read as a PyTorch file: it is truncated, damaged, or something else; "
                "expected what torch.save wrote, or a .safetensors file"
            ) from error
        tensors_only = path.with_name(f"{path.name.split('.')[0]}.tensors.pth")
        raise CheckpointError(
            f"{path} holds Python objects beside tensors and plain values ({refused[1]}). Unpickling those can run any "
            "code that the file's maker chose, so it is refused. Where you trust the file, keep its tensors alone with "
            "the two lines below, and give the new file:\n"
            f"  import torch; content = torch.load({str(path)!r}, map_location='cpu', weights_only=False)\n"
            f"  torch.save({{key: content[key] for key in {_ENTRIES} if key in content}} or content, "
            f"{str(tensors_only)!r})"
        ) from error


def _summary(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return f"the entries {listed(map(str, content))}" if content else "nothing"
