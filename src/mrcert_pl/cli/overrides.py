"""Overrides of Hydra's command line: reading, writing, and those that a checkpoint or an attacked set implies."""

import re
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

# Anything else in a string may have a meaning for Hydra: a comma separates the values of a sweep.
_PLAIN = re.compile(r"[\w./%:+-]+")


def override(name: str, value: object) -> str:
    """Return ``name=value`` for a plain value; the quotes of the shell come on top."""
    return f"{name}={_text(value)}"


def given(arguments: Sequence[str]) -> dict[str, object]:
    """Return the settings that a command line names, with their values; those of a sweep and flags are left out."""
    settings: dict[str, object] = {}
    for argument in arguments:
        if "=" not in argument or argument.startswith("--"):
            continue
        try:
            parsed = OverridesParser.create().parse_override(argument)
        except HydraException:
            # Hydra reports it.
            continue
        settings[parsed.key_or_group] = None if parsed.is_sweep_override() else parsed.value()
    return settings


def _text(value: object) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else '"' + value.replace('"', r"\"") + '"'
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_text, value)) + "]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
