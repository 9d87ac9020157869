"""``--help`` of the commands; of the Hydra commands groups and settings, from the comments of ``conf/``."""

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mrcert_pl.cli.configuration import CONF_DIR

_SETTING = re.compile(r"^(?P<indent> *)(?P<name>\w+):(?: (?P<value>[^#]*?))?(?: *# (?P<about>.*))?$")

# Groups in order of choice, with descriptions; internal groups are left out.
_GROUPS = {
    "dataset": "images",
    "model": "base model",
    "defender": "certified defense",
    "recipe": "training recipe",
    "attack": "patch attack",
    "trainer": "devices",
    "logger": "destination of metrics",
    "callbacks": "callbacks of the training",
    "experiment": "data set, model and patch of an experiment",
    "debug": "smoke test",
}
# Group options whose settings a command lists.
_DETAILED = {"train": ("recipe/default", "trainer/default"), "attack": ("attack/ifgsm",)}
# Maximum number of options to print, and the printed settings of the trainer.
_MOST = 12
_TRAINER = ("precision", "devices", "max_epochs", "check_val_every_n_epoch", "gradient_clip_val")


@dataclass(frozen=True)
class Setting:
    """A setting of a command.

    Attributes:
        name: full name.
        value: default, as written in the file.
        about: description.
    """

    name: str
    value: str
    about: str


def requested(arguments: Sequence[str]) -> bool:
    """Return whether the arguments ask for help."""
    return any(argument in ("-h", "--help") for argument in arguments)


def help_of(file: Path, arguments: Sequence[str] = ()) -> str:
    """Return the help of the command with this configuration: its examples, groups and settings.

    Args:
        file: configuration of the command.
        arguments: arguments of the command; the settings of each chosen option, ``dataset=folder``, are added.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    lines = [
        *_header(content["hydra"]["help"]["header"]),
        "Groups (choose with group=option; group=option --help adds its settings):",
    ]
    defaults = _default_options(file)
    for name, options in groups_of(file).items():
        shown = options if len(options) <= _MOST else [*options[:3], f"... ({len(options)}, see conf/{name})"]
        default = defaults[name]
        lines += _entry(f"{name}={default}" if default else name, f"{_GROUPS[name]}: {', '.join(shown)}")
    lines += ["", "Settings (change with name=value):"]
    chosen = _chosen(groups_of(file), arguments)
    named = {setting.name for settings in chosen.values() for setting in settings}
    lines += _listed(setting for setting in settings_of(file) if setting.name not in named)
    for option, settings in chosen.items():
        lines += ["", f"Settings of {option}:", *_listed(settings)]
    lines += [
        "",
        *wrapped("--cfg job --resolve shows the configuration, --info defaults its files; --hydra-help is Hydra's."),
    ]
    return "\n".join(lines)


def _chosen(groups: dict[str, list[str]], arguments: Sequence[str]) -> dict[str, list[Setting]]:
    """Return the described settings of the options that the arguments choose, by ``group=option``."""
    found = {}
    for argument in arguments:
        group, _, option = argument.partition("=")
        if option in groups.get(group, ()):
            settings = {
                setting.name: setting
                for file in _files(CONF_DIR / group / f"{option}.yaml")
                for setting in settings_in(file)
            }
            found[argument] = [
                Setting(f"{group}.{name}", setting.value, setting.about)
                for name, setting in settings.items()
                if setting.about
            ]
    return {argument: settings for argument, settings in found.items() if settings}


def _listed(settings: Iterable[Setting]) -> Iterator[str]:
    for setting in settings:
        yield from _entry(f"{setting.name}={setting.value}" if setting.value else setting.name, setting.about)


def names() -> list[str]:
    """Return the names of the groups and settings of all commands, and of the settings of all options of groups."""
    commands = [file for file in CONF_DIR.glob("*.yaml") if not file.stem.startswith("_")]
    found = {*_GROUPS, *(setting.name for file in commands for setting in settings_of(file))}
    return sorted(found.union(*map(names_in, _GROUPS)))


def names_in(group: str, options: Iterable[str] = ("*",)) -> set[str]:
    """Return the names of the settings of some options of a group; default: of all."""
    files = (file for option in options for file in (CONF_DIR / group).glob(f"{option}.yaml"))
    found = (setting for file in files for setting in settings_in(file))
    return {f"{group}.{setting.name}" for setting in found if setting.value and "._" not in f".{setting.name}"}


def settings_of(file: Path) -> list[Setting]:
    """Return the settings of a command, including inherited ones and those of its detailed groups."""
    found: dict[str, Setting] = {}
    for each in _files(file):
        found |= {setting.name: setting for setting in settings_in(each)}
    for option in _DETAILED.get(file.stem, ()):
        group = option.split("/")[0]
        for setting in settings_in(CONF_DIR / f"{option}.yaml"):
            if setting.name.startswith("_") or (group == "trainer" and setting.name not in _TRAINER):
                continue
            found[f"{group}.{setting.name}"] = Setting(f"{group}.{setting.name}", setting.value, setting.about)
    return [setting for setting in found.values() if setting.about]


def _files(file: Path) -> list[Path]:
    """Return the configuration files of a command or an option, base files first."""
    defaults = yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", ())
    bases = [name for name in defaults if isinstance(name, str) and name != "_self_"]
    return [*(path for base in bases for path in _files(file.parent / f"{base}.yaml")), file]


def groups_of(command: Path) -> dict[str, list[str]]:
    """Return the groups of a command with their options, in order of choice."""
    names = _default_options(command)
    return {
        group: sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml")) for group in _GROUPS if group in names
    }


def _default_options(command: Path) -> dict[str, Any]:
    """Return the groups of a command with their default options; ``None``: there is none."""
    chosen: dict[str, Any] = {}
    for file in _files(command):
        for default in yaml.safe_load(file.read_text(encoding="utf-8"))["defaults"]:
            chosen |= default if isinstance(default, dict) else {}
    return {str(group).removeprefix("override "): option for group, option in chosen.items()}


def settings_in(file: Path) -> Iterator[Setting]:
    """Yield the settings of a file with their full names and descriptions."""
    parents: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(("hydra:", "defaults:")):
            parents = ["hydra"]
            continue
        if (match := _SETTING.match(line)) is None:
            continue
        depth = len(match["indent"]) // 2
        parents = [*parents[:depth], match["name"]]
        if parents[0] != "hydra":
            yield Setting(".".join(parents), (match["value"] or "").strip(), match["about"] or "")


def _header(text: str) -> Iterator[str]:
    """Yield the lines of paragraphs and of examples; a description that does not fit is below its command."""
    for block in text.strip("\n").split("\n\n"):
        if not block.startswith("  "):
            yield from wrapped(" ".join(block.split()))
        for line in block.splitlines() if block.startswith("  ") else ():
            command, _, about = line.strip().partition("  ")
            if len(line) <= _width():
                yield line
            else:
                yield f"  {command}"
                yield from wrapped(about.strip(), " " * 6, " " * 6)
        yield ""


def _entry(name: str, about: str) -> list[str]:
    if "${" in name:
        name = name.split("=")[0]
    first = f"  {name:24}  "
    return wrapped(about, first, " " * 28) or [first.rstrip()]


def wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    """Return the lines of a text; words are never divided."""
    return textwrap.wrap(
        text,
        _width(),
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width() -> int:
    return min(120, shutil.get_terminal_size((100, 24)).columns)


def parser(name: str, about: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of a command without a configuration.

    Args:
        name: name of the command.
        about: paragraphs about it.
        examples: commands below the word "examples:".
    """
    title, _, commands = examples.partition("\n")
    return argparse.ArgumentParser(
        prog=f"mrcert {name}",
        description="\n".join(_header(about)).strip(),
        epilog="\n".join([title, *_header(commands)]).rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
