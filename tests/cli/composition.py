"""Configurations as commands compose them, without a command."""

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

import mrcert_pl.cli.app  # noqa: F401 (its source of recipe/for)
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE

COMMANDS = (
    "train",
    "eval",
    "predict",
    "serve",
    "attack",
    "plan",
    "push",
    "thresholds",
    "audit_certificates",
    "audit_numerics",
)
"""Configurations that are commands."""


def composed(command: str, *overrides: str, folder: str = "run") -> DictConfig:
    """The configuration of a run in a folder, with Hydra's own part."""
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        cfg = compose(
            command,
            overrides=[*overrides, f"hydra.runtime.output_dir={folder}"],
            return_hydra_config=True,
        )
    HydraConfig.instance().set_config(cfg)
    # A command gets the rest.
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg
