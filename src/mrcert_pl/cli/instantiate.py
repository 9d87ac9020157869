"""Classes and objects that the configuration names: the only place where Hydra makes them.

They come from the configuration alone, never from a file of data.
"""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from mrcert_pl.cli.configuration import HYDRA_1_3
from mrcert_pl.errors import ConfigurationError, MRCertError

# Packages whose classes may be arguments of another class.
_INSIDE = ("mrcert_pl.*", "lightning.pytorch.*")
# Beginnings of Hydra's errors for a target that is no class.
_NO_CLASS = ("Error locating target", "Expected a callable target")


def class_of(group: str, node: Mapping[str, Any]) -> Any:
    """Return the class that the settings of a group name.

    Args:
        group: name of the group, for the error.
        node: its settings; ``_target_`` is the import path.

    Raises:
        ConfigurationError: for a name that is no class, or whose module can't be imported; states why.
    """
    target = node["_target_"]
    try:
        return get_class(target)
    except Exception as error:  # of any type: the module may be the user's
        raise _no_class(group, target, error) from error


def made(node: DictConfig, **arguments: Any) -> Any:
    """Return the object that a node of the configuration names.

    Args:
        node: class and arguments.
        arguments: further arguments, or Hydra's own (``_partial_``).

    The class of the node may be any, those inside its arguments are of this package or Lightning (from Hydra 1.4 on).
    """
    allowed = {} if HYDRA_1_3 else {"_execution_whitelist_": [*_INSIDE, node["_target_"]]}
    try:
        return instantiate(node, _convert_="all", **allowed, **arguments)
    except InstantiationException as error:
        if isinstance(error.__cause__, MRCertError):
            raise
        name: Any = node._get_full_key(None)
        if str(error).startswith(_NO_CLASS):
            raise _no_class(name, node["_target_"], error) from error
        raise ConfigurationError(f"the settings of {name} don't work: {error.__cause__ or error}") from error


def _no_class(group: str, target: object, error: BaseException) -> ConfigurationError:
    while error.__cause__ is not None:
        # Hydra wraps what the module raised.
        error = error.__cause__
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ConfigurationError(f"{group}._target_ must be the import path of a class, got {target!r} ({reason})")
