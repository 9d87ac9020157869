"""What commands that take an attacked set take over from the attack."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.data import describe
from mrcert_pl.data.attacked import read_header


def adopt(cfg: DictConfig) -> None:
    """Take patch, model and checkpoint from the attacked set, where the command line doesn't give them.

    For another kind of model (that of a vote) the checkpoint is the one that was trained for the attacked images.

    Raises:
        ConfigurationError: without a folder of the set.
        DataError: if there is no set in it.
    """
    if cfg.dataset.name != "attacked":
        return
    source = describe("attacked", cfg.dataset.path).attacked
    made = read_header(Path(cfg.dataset.path))["made_from"]
    given = {override.split("=")[0].split(".")[0] for override in HydraConfig.get().overrides.task}
    if "patch" not in given:
        cfg.patch = made["patch"]
    same = cfg.model.name == made["model"]["name"]
    if same and "model" not in given:
        cfg.model = OmegaConf.create(made["model"])
    if "checkpoint" not in given:
        trained = f"{cfg.paths.checkpoint_dir}/{source}/{cfg.model.name}_p{cfg.patch}/best.ckpt"
        cfg.checkpoint = made["checkpoint"] if same else trained


def source_of(cfg: DictConfig) -> dict[str, Any]:
    """Where the images of the configuration's data set are, and how they are resized, before any attack."""
    if cfg.dataset.name == "attacked":
        return read_header(Path(cfg.dataset.path))["made_from"].get("dataset", {})
    return {name: cfg.dataset[name] for name in ("root", "resize") if name in cfg.dataset}
