"""Settings as Hydra's command line reads them."""

import re
from collections.abc import Mapping, Sequence

# Anything else in a string may mean something to Hydra: a comma separates the values of a sweep.
_PLAIN = re.compile(r"[\w./%:+-]+")


def override(name: str, value: object) -> str:
    """``name=value`` for a plain value; the shell's own quotes come on top of it."""
    return f"{name}={_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else '"' + value.replace('"', r"\"") + '"'
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_text, value)) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
