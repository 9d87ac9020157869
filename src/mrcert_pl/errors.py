"""The errors that a user can mend: what is wrong, what was expected, what to do next.

The command line prints these as one message without a stack trace. Any other exception is a defect of the
program and keeps its trace.
"""

from collections.abc import Iterable, Mapping
from typing import Any


class MRCertError(Exception):
    """Base of every error that the user, not the program, can mend."""


class ConfigurationError(MRCertError, ValueError):
    """A setting that can't work: an unknown name, a size that doesn't fit, a combination without meaning."""


class CheckpointError(MRCertError):
    """A checkpoint that is missing, unreadable, or made for another model."""


class DataError(MRCertError):
    """Data that is missing, unreadable, or not what the data set's description says."""


class NumericalError(MRCertError, ArithmeticError):
    """Logits, or a loss, that are not finite."""


class ResultsError(MRCertError):
    """A result file that can't be written or read."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigurationError:
    """The error for a name that nobody knows, with the names that would do."""
    return ConfigurationError(f"unknown {kind} {name!r}; choose one of: {', '.join(sorted(known))}")


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], where: str) -> list[str]:
    """Values that differ, one line each for an error: what it is ``where`` theirs come from, and here."""
    return [
        f"{name}: {_short(theirs.get(name))} {where}, {_short(ours.get(name))} here"
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    ]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
