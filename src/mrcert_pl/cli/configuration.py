"""Location of the Hydra configuration, and what the supported versions of Hydra spell differently."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mrcert_pl

_PACKAGE = Path(mrcert_pl.__file__).parent


def _conf_dir() -> Path:
    """Return ``conf/`` at the top of a checkout, or the copy that the wheel carries as ``mrcert_pl/conf``."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "conf"


CONF_DIR = _conf_dir()
"""Folder of the Hydra configuration: the same files in a checkout and in an installed wheel."""

HYDRA_1_3 = version("hydra-core").startswith("1.3.")
"""Whether Hydra is older than 1.4, whose ``instantiate`` takes the classes that a configuration may name."""

VERSION_BASE: Mapping[str, Any] = {"version_base": "1.3"} if HYDRA_1_3 else {}
"""Argument of Hydra's functions that compose: Hydra 1.3 requires it, 1.4 warns of it and composes the same."""


def register_resolver(name: str, resolver: Callable[..., str]) -> None:
    """Let configurations use ``${name:...}``."""
    from omegaconf import OmegaConf

    # OmegaConf 2.4, which comes with Hydra 1.4, warns of the old name; in 2.3 the new one was something else.
    register: Any = OmegaConf.register_new_resolver if HYDRA_1_3 else OmegaConf.register_resolver
    register(name, resolver, replace=True)
