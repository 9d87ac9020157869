"""Arguments of classes that a configuration names: their names and, for the models of the package, their types."""

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcert_pl.errors import ConfigurationError


def check_names(prefix: str, made: Callable[..., Any], names: Collection[str], given: Collection[str] = ()) -> None:
    """Check that a class or a function takes arguments of these names.

    Args:
        prefix: name of the settings, for the error.
        made: class or function.
        names: names of arguments.
        given: names of the arguments that the task itself gives; they are no settings.

    Raises:
        ConfigurationError: for another name; lists the known ones.
    """
    parameters = inspect.signature(made).parameters
    known = sorted(set(parameters) - set(given))
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if wrong := [name for name in names if name in given or not (takes_any or name in known)]:
        raise ConfigurationError(f"there is no setting {prefix}.{wrong[0]}; there are: {', '.join(known)}")


def check_model_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the types of a model's arguments; ranges are checked by its class.

    Args:
        arguments: arguments of a model of the package, by name.

    Raises:
        ConfigurationError: for a value of another type.
    """
    for name, value in arguments.items():
        fits, kind = _KINDS.get(name, (_anything, ""))
        if not fits(value):
            raise ConfigurationError(f"model.{name} must be {kind}, got {value!r}")


def _anything(value: object) -> bool:
    return True


def _whole(value: object) -> bool:
    return type(value) is int


def _two_whole(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(map(_whole, value))


def _fill(value: object) -> bool:
    # The name of a colour is for a vote.
    return isinstance(value, str) or (type(value) in (int, float) and math.isfinite(value))  # type: ignore[arg-type]


_KINDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "backbone": (lambda value: isinstance(value, str), "a timm tag, such as resnet50.a1_in1k"),
    "weights": (lambda value: value is None or isinstance(value, Path) or _text(value), "the path of a file"),
    "window": (_two_whole, "a height and a width in tokens, such as [14,1]"),
    "image_px": (_two_whole, "a height and a width in px, such as [224,224]"),
    "split": (_whole, "a whole number of blocks"),
    "width": (_whole, "a whole number of px"),
    "fill": (_fill, "a finite number"),
    "backbone_args": (
        lambda value: value is None or isinstance(value, Mapping),
        "names and values, such as {img_size: 448}",
    ),
}


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
