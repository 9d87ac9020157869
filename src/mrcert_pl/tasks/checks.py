"""Checks of single settings, with one sentence for what does not fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mrcert_pl.errors import ConfigurationError, unknown


def check_number(
    name: str, value: object, at_least: float, whole: bool = True, optional: bool = False, at_most: float | None = None
) -> None:
    """Validate a numeric setting.

    Raises:
        ConfigurationError: for another type, or a value outside the bounds.
    """
    if value is None and optional:
        return
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= at_least:
        kind = "a whole number" if whole else "a number"
        raise ConfigurationError(f"{name} must be {kind} of at least {at_least:g}, got {value!r}")
    if at_most is not None and value > at_most:
        raise ConfigurationError(f"{name} must be at most {at_most}, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """Validate a setting that is true or false.

    Raises:
        ConfigurationError: for another value.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be true or false, got {value!r}")


def check_mapping(name: str, value: object) -> None:
    """Validate a setting with named values.

    Raises:
        ConfigurationError: for another type.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must have names and values, such as {{name: value}}, got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Validate a setting with a fixed set of values.

    Raises:
        ConfigurationError: for another value; lists the valid ones.
    """
    if value not in choices:
        raise unknown(name, value, choices)


def check_stride(stride: object, optional: bool = False) -> None:
    """Validate a stride: a whole number, or one for each axis.

    Raises:
        ConfigurationError: for another type, or a value below 1.
    """
    if stride is None and optional:
        return
    both = [*stride] if isinstance(stride, Sequence) and not isinstance(stride, str) else [stride, stride]
    if len(both) != 2 or not all(type(number) is int and number >= 1 for number in both):
        raise ConfigurationError(f"stride must be a whole number of at least 1, or two of them, got {stride!r}")


def check_store(store: object) -> None:
    """Validate the setting of a store.

    Raises:
        ConfigurationError: for another type than a path, or an empty one.
    """
    if store is not None and not (isinstance(store, str | Path) and str(store)):
        raise ConfigurationError(f"store must be a folder or last, got {store!r}")
