"""The configuration of a run: in its folder for the reader, and in its W&B run."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.files import write_whole
from mrcert_pl.tasks.settings import RunSettings
from mrcert_pl.views.wandb import WandbRun

# Commands about the base model alone.
_WITHOUT_DEFENDER = ("attack", "audit_numerics")


def begun(cfg: DictConfig, settings: RunSettings) -> WandbRun:
    """Write the configuration and return the W&B run, named by its command and subject."""
    write_config(cfg)
    run = WandbRun.of(settings.loggers)
    if run:
        about = {
            "command": cfg.paths.command,
            "dataset": f"{source}, attacked" if (source := cfg.dataset.get("source")) else cfg.dataset.name,
            "model": cfg.model.name,
            "patch": f"p{cfg.patch}",
        }
        if cfg.paths.command not in _WITHOUT_DEFENDER:
            about["defender"] = cfg.defender.get("name") or cfg.defender._target_.rpartition(".")[2]
        run.describe(about)
    return run


def write_config(cfg: DictConfig) -> Path:
    """Write the completed configuration as ``config.yaml`` into the run's folder, and return the folder."""
    folder = Path(cfg.paths.run_dir)
    write_whole(folder / "config.yaml", lambda partial: OmegaConf.save(cfg, partial, resolve=True))
    return folder
