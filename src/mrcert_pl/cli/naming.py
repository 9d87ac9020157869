"""Name of own images in the paths of checkpoints."""

import re
from pathlib import Path

from mrcert_pl.cli.configuration import register_resolver


def images_title(dataset: str, root: str | None) -> str:
    """Return the name of a data set; ``folder_<name>`` for own images, as each folder has its own checkpoints.

    Args:
        dataset: name of the data set.
        root: its folder; characters that a path or a shell may treat in another way become underscores.
    """
    if dataset != "folder" or root is None:
        return dataset
    # The settings of the data set report another type than a text.
    name = Path(str(root)).expanduser().resolve().name
    return f"folder_{re.sub(r'[^A-Za-z0-9.-]+', '_', name)}"


def register() -> None:
    """Let configurations name data sets by ``${images_title:...}``."""
    register_resolver("images_title", images_title)
