"""Guards in folders and on the Hugging Face hub: safetensors, plain JSON and a model card."""

import inspect
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrcert_pl.defenders import Defender
from mrcert_pl.defenders import build as build_defender
from mrcert_pl.defenders import names as defender_names
from mrcert_pl.errors import CheckpointError, ConfigurationError, MRCertError
from mrcert_pl.files import write_json, write_whole
from mrcert_pl.guard.model_card import MeasuredAccuracy, model_card
from mrcert_pl.guard.origin import is_names, is_stride
from mrcert_pl.guard.policy import Policy
from mrcert_pl.models.checkpoints import describe_model, write_weights
from mrcert_pl.models.registry import kinds

if TYPE_CHECKING:
    from mrcert_pl.guard.guard import Guard

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
_FORMAT = 1
_REPO = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_MAX_CONFIG_BYTES = 10_000_000


def _is_defender(value: object) -> bool:
    # A name of the form module:name would import the module.
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and value["name"] in defender_names()
        and all(isinstance(setting, str | int | float | bool) for setting in value.values())
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_SETTINGS: dict[str, Callable[[object], bool]] = {
    "defender": _is_defender,
    "patch": _is_text,
    "classes": is_names,
    "resize": _is_text,
    "stride": is_stride,
    "require": _is_text,
    "exif": _is_text,
}


def write_folder(guard: "Guard", folder: Path, results: Sequence[MeasuredAccuracy], training: str | None) -> Path:
    """Write a guard's configuration, weights and model card.

    Raises:
        ConfigurationError: for a model or a defender that plain values can't describe.
        ResultsError: for a folder that can't be written.
    """
    model: Any = guard.model
    kind: type = type(guard.model)
    if kind is not kinds().get(kind.__name__):
        raise ConfigurationError(
            f"a {kind.__name__} can't be saved, as files hold no code; these can: {', '.join(sorted(kinds()))}. "
            "For a timm model use BlackBox(backbone, weights=...); for another module publish the code that wraps it"
        )
    settings = {
        "defender": _described(guard.defender),
        "patch": _patch_text(guard.patch.size),
        "classes": list(guard.class_names),
        "resize": guard.preprocessing.resize,
        "stride": guard.stride,
        "require": guard.policy.require,
        "exif": guard.exif,
    }
    shared = {name: settings[name] for name in ("patch", "classes", "resize", "stride")}
    origin = {**describe_model(model), **shared}
    write_whole(
        folder / WEIGHTS, lambda partial: write_weights(partial, model.state_dict(), origin), chosen_by="folder"
    )
    write_json(folder / CONFIG, {"format": _FORMAT, "model": kind.__name__, **settings}, chosen_by="folder")
    card = model_card(guard, results, training)
    write_whole(folder / CARD, lambda partial: partial.write_text(card, encoding="utf-8"), chosen_by="folder")
    return folder


def read_settings(folder: Path) -> tuple[str, dict[str, Any]]:
    """Read ``config.json``: the kind of the model, and arguments of ``Guard.from_checkpoint``.

    Raises:
        CheckpointError: for a file that is missing or damaged, or an unknown name or a value of another type.
    """
    path = folder / CONFIG
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise CheckpointError(f"{path} is larger than {_MAX_CONFIG_BYTES:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no {path}; Guard.save_pretrained writes it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise CheckpointError(f"{path} is not a guard of format {_FORMAT}; Guard.save_pretrained writes one")
    kind = content.pop("model", None)
    if not isinstance(kind, str) or kind not in kinds():
        raise CheckpointError(f"{path} must state a model, one of: {', '.join(sorted(kinds()))}")
    wrong = sorted(content.keys() ^ _SETTINGS.keys())
    wrong += [name for name, is_valid in _SETTINGS.items() if name in content and not is_valid(content[name])]
    if wrong:
        raise CheckpointError(f"{path} has missing, unknown or invalid settings: {', '.join(map(repr, wrong))}")
    try:
        stride = content["stride"]
        return kind, {
            "defender": build_defender(**content["defender"]),
            "patch": content["patch"],
            "class_names": content["classes"],
            "resize": content["resize"],
            "stride": stride if isinstance(stride, int) else tuple(stride),
            "policy": Policy(content["require"]),
            "exif": content["exif"],
        }
    except (ConfigurationError, TypeError) as error:
        raise CheckpointError(f"{path} has an invalid setting: {error}") from error


def local_folder(source: str | Path, revision: str | None) -> Path:
    """Return a folder with the guard's files; they are downloaded if the source is a repository.

    Raises:
        CheckpointError: for a source that is neither, or a repository that can't be read.
    """
    folder = Path(source)
    if str(source) and folder.is_dir():
        return folder
    if isinstance(source, Path) or not _REPO.fullmatch(source):
        raise CheckpointError(f"{source} is neither a folder nor the owner/name of a repository on the hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # no network, no such repository, no access, a full disk
        raise CheckpointError(f"the repository {source} can't be read from the hub: {_first_line(error)}") from error


def push(
    guard: "Guard",
    repo_id: str,
    results: Sequence[MeasuredAccuracy],
    training: str | None,
    private: bool,
    token: str | None,
) -> str:
    """Upload a guard and return the address of its repository.

    Raises:
        ConfigurationError: for an invalid name, an upload that fails, or a guard that can't be saved.
    """
    if not _REPO.fullmatch(repo_id):
        raise ConfigurationError(f"a repository on the hub is named owner/name, got {repo_id!r}")
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as folder:
        write_folder(guard, Path(folder), results, training)
        try:
            api = HfApi(token=token)
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload a guard of mrcert_pl")
        except Exception as error:  # no network, no access, a full disk
            raise ConfigurationError(f"the upload to {repo_id} failed: {_first_line(error)}") from error
    return str(url)


def _described(defender: Defender[Any]) -> dict[str, Any]:
    """Name and settings from which ``defenders.build`` makes an equal defender."""
    settings = {name: getattr(defender, name, None) for name in inspect.signature(type(defender)).parameters}
    # A name alone often states the other settings.
    for kept in (settings.keys() & {"patches"}, settings.keys()):
        described: dict[str, Any] = {
            "name": defender.name,
            **{name: settings[name] for name in settings if name in kept},
        }
        with suppress(MRCertError, TypeError):
            rebuilt = build_defender(**described) if _is_defender(described) else None
            if type(rebuilt) is type(defender) and _fields(rebuilt) == _fields(defender):
                return described
    raise ConfigurationError(f"the defender {defender.name!r} can't be saved: it is not a registered one")


def _fields(defender: Defender[Any]) -> dict[str, Any]:
    """Attributes of a defender, except those that say how it was built."""
    return {name: value for name, value in vars(defender).items() if name != "settings"}


def _patch_text(size: object) -> str:
    """Text that PatchSpec reads as this size."""
    if isinstance(size, tuple) and not all(isinstance(side, int) for side in size):
        return ",".join(map(_patch_text, size))
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
