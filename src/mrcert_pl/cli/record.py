"""The configuration of a run, in its folder for the reader."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.files import write_whole


def write_config(cfg: DictConfig) -> Path:
    """Write the completed configuration as ``config.yaml`` into the run's folder, and return the folder."""
    folder = Path(cfg.paths.run_dir)
    write_whole(folder / "config.yaml", lambda partial: OmegaConf.save(cfg, partial, resolve=True))
    return folder
