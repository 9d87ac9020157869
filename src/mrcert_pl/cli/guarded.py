"""The guard of a configuration."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.errors import ConfigurationError


def guard_settings(cfg: DictConfig) -> dict[str, Any]:
    """The arguments of ``Guard.from_checkpoint``.

    Raises:
        ConfigurationError: without a checkpoint, or for a device that isn't there.
    """
    from mrcert_pl.cli.build import pick_device
    from mrcert_pl.guard import Policy

    if cfg.checkpoint is None:
        raise ConfigurationError(
            "which model? give checkpoint=FILE, a best.ckpt of python train.py or a safetensors of mrcert convert"
        )
    names = ["checkpoint", "patch", "stride", "resize", "class_names", "batch_size", "token_budget"]
    given: Any = OmegaConf.to_container(OmegaConf.masked_copy(cfg, names), resolve=True)
    return {
        **given,
        "defender": instantiate(cfg.defender, _convert_="all"),
        "policy": Policy(cfg.require),
        "device": pick_device(cfg.device),
    }
