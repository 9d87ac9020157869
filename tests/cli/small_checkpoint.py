"""Checkpoints of random weights, for the commands."""

from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.cli.task_settings import model_settings
from mrcert_pl.models.checkpoints import describe_model

CHECKPOINT = Path("checkpoints/digits/vit_srf_p32/best.ckpt")
"""Where the commands look for the checkpoint of ``patch=32``."""


def random_checkpoint(path: Path, overrides: list[str]) -> Path:
    """A checkpoint of random weights."""
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        model: Any = model_settings(compose("eval", overrides=overrides)).make(10)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "mrcert": describe_model(model)}, path)
    return path
