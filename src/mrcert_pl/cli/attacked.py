"""What commands that take an attacked set take over from the attack."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.build import command_line
from mrcert_pl.data import describe
from mrcert_pl.data.attacked_header import read_header
from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.mutants import stored_header


def adopt(cfg: DictConfig) -> None:
    """Take model and checkpoint from the attacked set, as the configuration does the patch, unless they are given.

    Another kind of model than the attacked one (a vote has its own) takes its settings from its checkpoint, by default
    that which was trained for the attacked images. The patches were then made against another model than the one that
    is evaluated.

    Raises:
        ConfigurationError: without a folder of the set.
        DataError: if there is no set in it.
        CheckpointError: for another kind of model without a checkpoint, or with one of yet another kind.
    """
    if cfg.dataset.name != "attacked":
        return
    describe("attacked", cfg.dataset.path)
    header = read_header(Path(cfg.dataset.path))
    given = {override.split("=")[0].lstrip("+") for override in HydraConfig.get().overrides.task}
    if cfg.model.name == header.model_name:
        if not any(name.split(".")[0] == "model" for name in given):
            cfg.model = OmegaConf.create(header.model_config())
        if "checkpoint" not in given:
            cfg.checkpoint = str(header.checkpoint_path())
        return
    if "checkpoint" not in given:
        cfg.checkpoint = f"{cfg.paths.checkpoint_dir}/{header.source}/{cfg.model.name}_p{cfg.patch}/best.ckpt"
    origin = _origin(cfg, header.model_name)
    for name, value in origin["config"].items():
        if name in cfg.model and not any(f"{other}.".startswith(f"model.{name}.") for other in given):
            cfg.model[name] = value


def _origin(cfg: DictConfig, attacked: str) -> Mapping[str, Any]:
    """What the checkpoint of the configuration, or its table of labels, says about its model."""
    if cfg.get("table") is not None:
        found, origin = cfg.table, stored_header(Path(cfg.table))["model"]
    elif Path(cfg.checkpoint).is_file():
        found, origin = cfg.checkpoint, read_checkpoint(cfg.checkpoint).origin
    else:
        raise CheckpointError(
            f"the attacked model is a {attacked}, and there is no checkpoint {cfg.checkpoint} of a {cfg.model.name} to "
            f"evaluate in its place; name one with checkpoint=, or make it with:  {command_line(cfg, 'train.py')}"
        )
    if origin["model"] != cfg.model._target_.rpartition(".")[2]:
        raise CheckpointError(
            f"{found} is of a {origin['model']}, and this is an evaluation of model={cfg.model.name}: give checkpoint= "
            "of such a model, or the model= and the defender= that belong to this one"
        )
    return origin


def source_of(cfg: DictConfig) -> dict[str, Any]:
    """Where the images of the configuration's data set are, and how they are resized, before any attack."""
    if cfg.dataset.name == "attacked":
        return dict(read_header(Path(cfg.dataset.path)).source_settings)
    given = {name: cfg.dataset.get(name) for name in ("root", "labels", "resize")}
    return {name: str(value) for name, value in given.items() if value is not None}
