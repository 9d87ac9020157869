"""The guard of a configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.errors import ConfigurationError

if TYPE_CHECKING:
    from mrcert_pl.guard import Guard


def guard_settings(cfg: DictConfig) -> dict[str, Any]:
    """Arguments of ``Guard.from_checkpoint``.

    Raises:
        ConfigurationError: without a checkpoint.
    """
    from mrcert_pl.guard import Policy

    if cfg.checkpoint is None:
        raise ConfigurationError(
            "which model? give checkpoint=FILE, a best.ckpt of python train.py or a safetensors of mrcert convert"
        )
    names = ["checkpoint", "patch", "stride", "resize", "class_names", "batch_size", "token_budget", "exif"]
    given: Any = OmegaConf.to_container(OmegaConf.masked_copy(cfg, names), resolve=True)
    return {
        **given,
        "defender": instantiate(cfg.defender, _convert_="all"),
        "policy": Policy(cfg.require),
        "device": cfg.device,
    }


def guard_on(device: str, settings: Mapping[str, Any]) -> "Guard":
    """Load the guard of some settings on a device; a worker process can call it."""
    from mrcert_pl.guard import Guard

    return Guard.from_checkpoint(**{**settings, "device": device})
