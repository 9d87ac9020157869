"""Errors that a user can fix: what is wrong, what is allowed, what to do.

The command line prints these as one message. Any other exception is a defect of the program and keeps its traceback.
"""

from collections.abc import Iterable, Mapping
from typing import Any


class MRCertError(Exception):
    """Base class of the errors that a user can fix."""


class ConfigurationError(MRCertError, ValueError):
    """An invalid setting: an unknown name, a value out of range, or an impossible combination."""


class CheckpointError(MRCertError):
    """A checkpoint that is missing, damaged, or made for another model."""


class DataError(MRCertError):
    """Data that is missing, damaged, or different from the description of the data set."""


class NumericalError(MRCertError, ArithmeticError):
    """Logits or a loss that are not finite."""


class ResultsError(MRCertError):
    """A result file that can't be written, or that is missing, damaged or malformed."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigurationError:
    """Build the error for an unknown name; it lists the valid ones."""
    return ConfigurationError(f"unknown {kind} {name!r}; choose one of: {', '.join(sorted(known))}")


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], where: str) -> list[str]:
    """List the values that differ, one line each for an error message; ``where`` names the source of ``theirs``."""
    found = []
    for name in sorted({*theirs, *ours}):
        one, other = theirs.get(name), ours.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += [f"{name}.{line}" for line in differences(one, other, where)]
        elif one != other:
            found.append(f"{name}: {short(str(one))} {where}, {short(str(other))} here")
    return found


def short(text: str) -> str:
    """Return a text cut to at most 80 characters."""
    return text if len(text) <= 80 else f"{text[:77]}..."
