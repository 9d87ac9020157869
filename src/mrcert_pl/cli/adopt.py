"""Settings of a command that its checkpoint, tables or attacked set imply.

They become overrides of the command line before Hydra composes the configuration, so that the configuration is never
changed afterwards. Settings of the user take precedence. A value of a file is used only if it is a known name, a patch
or a stride.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcert_pl.cli.overrides import given, override
from mrcert_pl.errors import ConfigurationError, MRCertError

# Settings of earlier versions and their replacements.
_RENAMED = {
    "want": "it is now output",
    "pictures": "it is now examples",
    "model.hidden": "it is now model.hidden_tokens",
    "defender.certificate": "choose a defender: mrcert, mrcert_sharp, patchcure or patchcure_paper",
    "recipe.finetuning.worst_of": "it was removed",
    "recipe.finetuning.consistency": "it was removed",
}
# Folders that every run needs, and facts of a run that its start sets.
_FOLDERS = ("paths.output_dir", "paths.checkpoint_dir")
_FACTS = ("paths.run_dir", "paths.run_id", "paths.run_group", "paths.command")
# Configurations of commands about a trained model; labelling is that of the benchmark.
_ABOUT_A_MODEL = ("eval", "attack", "audit_certificates", "audit_numerics", "thresholds", "plan", "labelling")
# Data sets whose images all have one size.
_WITHOUT_RESIZE = (None, "digits", "attacked")


def adopted(command: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with the overrides that its checkpoint, tables or attacked set imply.

    Args:
        command: name of the configuration.
        arguments: arguments of the user.

    Raises:
        ConfigurationError: for a setting of an earlier version, a folder without a name, or a patch that is none.
    """
    _check_names(arguments)
    _check_folders(arguments)
    _check_patch(given(arguments).get("patch"))
    if command not in _ABOUT_A_MODEL:
        return list(arguments)
    settings = given(arguments)
    if "patch=null" in arguments and not any(name in settings for name in ("checkpoint", "table")):
        raise ConfigurationError("patch=null takes the patch of checkpoint=, which is not given; give patch=32")
    attacked = _of_attacked_set(settings)
    implied = {**_of_checkpoint({**attacked, **settings}), **attacked}
    if _is_classifier(settings):
        implied["checkpoint"] = None
    if command == "plan":
        # It compares strides, and opens no image.
        implied = {name: implied[name] for name in ("model", "patch") if name in implied}
    names = {name.split("@")[0] for name in settings}
    added = [override(name, value) for name, value in implied.items() if name not in names]
    return [*arguments, *added]


def _is_classifier(settings: Mapping[str, object]) -> bool:
    """Return whether the settings name the weights of a classifier that was not trained here."""
    here = "checkpoint" in settings or "table" in settings or settings.get("dataset") == "attacked"
    return not here and settings.get("model") == "blackbox" and settings.get("model.weights") not in (None, "null")


def _check_names(arguments: Sequence[str]) -> None:
    """Refuse settings of earlier versions, and those below them."""
    for name in given(arguments):
        for earlier, now in _RENAMED.items():
            if name == earlier or name.startswith(f"{earlier}."):
                raise ConfigurationError(f"there is no setting {earlier}: {now}")


def _check_folders(arguments: Sequence[str]) -> None:
    """Refuse folders without a name, before Hydra makes one, and facts that the user cannot set."""
    for argument in arguments:
        name, _, value = argument.lstrip("+").partition("=")
        if name in _FOLDERS and value.strip("'\"").lower() in ("", "null"):
            raise ConfigurationError(f"{name} must be a folder, got {value or 'nothing'}")
        if name in _FACTS:
            raise ConfigurationError(
                f"{name} is set at the start of a run; paths.output_dir=FOLDER moves all runs, hydra.run.dir=FOLDER one"
            )


def _check_patch(patch: object) -> None:
    """Refuse a patch that is none before any file is looked for that its name depends on."""
    from mrcert_pl.geometry import PatchSpec

    if isinstance(patch, (int, str)):
        PatchSpec(patch)


def _of_checkpoint(settings: Mapping[str, object]) -> dict[str, Any]:
    """Settings that a checkpoint or stored tables imply; none if they cannot be read, which the task reports."""
    from mrcert_pl.models.checkpoints import read_description
    from mrcert_pl.mutants import stored_header

    origin: Mapping[str, Any] = {}
    try:
        if settings.get("table") is not None:
            header = stored_header(Path(str(settings["table"])))
            names = header.get("names")
            kind = names.get("model") if isinstance(names, dict) else None
            origin = {"name": kind, "dataset": header.get("dataset")}
        elif settings.get("checkpoint") is not None:
            origin = read_description(str(settings["checkpoint"]))
    except MRCertError:
        return {}
    return _checked(origin, settings)


def _of_attacked_set(settings: Mapping[str, object]) -> dict[str, Any]:
    """Settings that an attacked set implies; the checkpoint only for the attacked kind of model.

    Raises:
        DataError: for a checkpoint that is not read without the user's word.
    """
    from mrcert_pl.data.attacked_header import read_header

    if settings.get("dataset") != "attacked" or settings.get("dataset.path") is None:
        return {}
    try:
        header = read_header(Path(str(settings["dataset.path"])))
    except MRCertError:
        return {}
    implied = {"dataset.source": header.source, "patch": _patch(header.patch)}
    # A vote has a base model of its own.
    vote = "column_vit" if str(settings.get("defender", "")).startswith("vot") else None
    other = settings.get("model", vote) not in (None, header.model_kind)
    if other or not header.model_kind or "checkpoint" in settings or "table" in settings:
        return implied
    checkpoint = {"checkpoint": str(header.checkpoint_path())} if header.checkpoint else {}
    return {**implied, "model": header.model_kind, **checkpoint}


def _checked(origin: Mapping[str, Any], settings: Mapping[str, object]) -> dict[str, Any]:
    """Return the known settings of a file; others are left out."""
    from mrcert_pl.cli.configuration import CONF_DIR

    implied: dict[str, Any] = {}
    for group, name in (("model", origin.get("name")), ("dataset", origin.get("dataset"))):
        if isinstance(name, str) and name.isidentifier() and (CONF_DIR / group / f"{name}.yaml").is_file():
            implied[group] = name
    if (patch := _patch(origin.get("patch"))) is not None:
        implied["patch"] = patch
    if (stride := _stride(origin.get("stride"))) is not None:
        implied["stride"] = stride
    if (
        origin.get("resize") in ("crop", "whole")
        and settings.get("dataset", implied.get("dataset")) not in _WITHOUT_RESIZE
    ):
        implied["dataset.resize"] = origin["resize"]
    return implied


def _patch(patch: object) -> object:
    """Return a patch if it is one, else ``None``."""
    from mrcert_pl.geometry import PatchSpec

    if not isinstance(patch, (int, str)) or isinstance(patch, bool):
        return None
    try:
        PatchSpec(patch)
    except MRCertError:
        return None
    return patch


def _stride(stride: object) -> object:
    """Return a stride if it is one, else ``None``."""
    numbers = stride if isinstance(stride, list) else [stride]
    if len(numbers) > 2 or not all(type(number) is int and 0 < number < 10_000 for number in numbers):
        return None
    return stride
