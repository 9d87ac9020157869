"""Guards in folders and on the Hugging Face hub: safetensors, plain JSON and a model card."""

import inspect
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mrcert_pl.data.images import Exif
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.defenders import Defender
from mrcert_pl.defenders import build as build_defender
from mrcert_pl.defenders import names as defender_names
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import CheckpointError, ConfigurationError, MRCertError
from mrcert_pl.files import write_json, write_whole
from mrcert_pl.guard.model_card import MeasuredAccuracy, model_card
from mrcert_pl.guard.origin import Stride
from mrcert_pl.guard.policy import Policy, Requirement
from mrcert_pl.models.checkpoints import describe_model, write_weights
from mrcert_pl.models.registry import kinds
from mrcert_pl.plain import FieldError, Record, checked_json

if TYPE_CHECKING:
    from mrcert_pl.guard.guard import Guard

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
_FORMAT = 1
_REPO = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_MAX_CONFIG_BYTES = 10_000_000


@dataclass(frozen=True)
class _Refinement(Record):
    """Settings of a refined defender beside those of the defender itself."""

    coarser: list[int]
    threshold: float
    limit: int | None


@dataclass(frozen=True)
class _Config(Record):
    """Content of ``config.json``."""

    format: Literal[1]
    model: str
    defender: dict[str, str | int | float | bool]
    patch: str
    classes: list[str]
    resize: Resize
    stride: Stride
    require: Requirement
    exif: Exif
    refinement: _Refinement | None = None


def write_folder(
    guard: "Guard",
    folder: Path,
    results: Sequence[MeasuredAccuracy],
    training: str | None,
    repo_id: str = "owner/name",
) -> Path:
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
    defender, refinement = guard.defender, {}
    if isinstance(defender, Refined):
        found = {"coarser": list(defender.coarser), "threshold": defender.threshold, "limit": defender.limit}
        defender, refinement = defender.defender, {"refinement": found}
    settings = {
        "defender": _described(defender),
        "patch": _patch_text(guard.patch.size),
        "classes": list(guard.class_names),
        "resize": guard.preprocessing.resize,
        "stride": guard.stride,
        "require": guard.policy.require,
        "exif": guard.exif,
        **refinement,
    }
    shared = {name: settings[name] for name in ("patch", "classes", "resize", "stride")}
    origin = {**describe_model(model), **shared, **({} if guard.start is None else {"start": guard.start})}
    write_whole(
        folder / WEIGHTS, lambda partial: write_weights(partial, model.state_dict(), origin), chosen_by="folder"
    )
    write_json(folder / CONFIG, {"format": _FORMAT, "model": kind.__name__, **settings}, chosen_by="folder")
    card = model_card(guard, results, training, repo_id)
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
        config: _Config = checked_json(_Config, path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no {path}; Guard.save_pretrained writes it") from error
    except (OSError, FieldError) as error:
        raise CheckpointError(f"{path} is not a guard that Guard.save_pretrained wrote: {error}") from error
    if config.model not in kinds():
        raise CheckpointError(f"{path} must state a model, one of: {', '.join(sorted(kinds()))}")
    defender: dict[str, Any] = {**config.defender}
    if ":" in str(defender.get("name")):
        raise CheckpointError(f"{path} names a module by its defender; nothing that a file names is imported")
    try:
        return config.model, {
            "defender": _refined(build_defender(**defender), config.refinement),
            "patch": config.patch,
            "class_names": config.classes,
            "resize": config.resize,
            "stride": config.stride,
            "policy": Policy(config.require),
            "exif": config.exif,
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


def check_repository(repo_id: object) -> None:
    """Validate the name of a repository.

    Raises:
        ConfigurationError: for a name that is not ``owner/name``.
    """
    if not isinstance(repo_id, str) or not _REPO.fullmatch(repo_id):
        raise ConfigurationError(f"a repository on the hub is named owner/name, got {repo_id!r}")


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
    check_repository(repo_id)
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as folder:
        write_folder(guard, Path(folder), results, training, repo_id)
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
            rebuilt = build_defender(**described) if defender.name in defender_names() else None
            if type(rebuilt) is type(defender) and _fields(rebuilt) == _fields(defender):
                return described
    raise ConfigurationError(f"the defender {defender.name!r} can't be saved: it is not a registered one")


def _refined(defender: Defender[Any], refinement: _Refinement | None) -> Defender[Any]:
    if refinement is None:
        return defender
    return Refined(defender, refinement.coarser, refinement.threshold, refinement.limit)


def _fields(defender: Defender[Any]) -> dict[str, Any]:
    """Attributes of a defender, except the settings that it was built with."""
    return {name: value for name, value in vars(defender).items() if name != "settings"}


def _patch_text(size: object) -> str:
    """Text that PatchSpec reads as this size."""
    if isinstance(size, tuple) and not all(isinstance(side, int) for side in size):
        return ",".join(map(_patch_text, size))
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
