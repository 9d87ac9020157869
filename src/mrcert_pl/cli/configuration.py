"""Location of the Hydra configuration."""

from pathlib import Path

import mrcert_pl

_PACKAGE = Path(mrcert_pl.__file__).parent


def _conf_dir() -> Path:
    """Return ``conf/`` at the top of a checkout, or the copy that the wheel carries as ``mrcert_pl/conf``."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "conf"


CONF_DIR = _conf_dir()
"""Folder of the Hydra configuration: the same files in a checkout and in an installed wheel."""
