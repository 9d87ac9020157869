"""From configuration to objects: what training and evaluation build alike."""

import hashlib
import itertools
import logging
import os
import shlex
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.callbacks import Throughput
from mrcert_pl.cli.app import STARTED
from mrcert_pl.cli.overrides import override
from mrcert_pl.dashboard import Board
from mrcert_pl.data import DatasetDescription, ImageDataModule, describe
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.files import write_whole
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import ViTSRF


def start(cfg: DictConfig, run_dir: Path | None = None) -> Path:
    """Seed everything, fix the arithmetic, write the resolved configuration into the run's folder and return that.

    Args:
        cfg: the configuration; learns the run's folder, and what else is known of it from now on.
        run_dir: the folder of an earlier run that goes on; by default the one that Hydra made.

    Raises:
        ConfigurationError: for a GPU that isn't there.
    """
    if cfg.trainer.accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ConfigurationError(
            "this trainer wants a GPU, and torch finds none here; take trainer=cpu or trainer=ddp_cpu"
        )
    # Notices about hardware and other products; warnings and errors still come through.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # Our metric sums its counts over all devices by itself.
    warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True")
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    return open_run(cfg, run_dir or Path(HydraConfig.get().runtime.output_dir))


def open_run(cfg: DictConfig, run_dir: Path) -> Path:
    """Fix the arithmetic, and write the resolved configuration, which learns the run's folder, into it."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    job = HydraConfig.get()
    cfg.paths.run_dir = str(run_dir)
    cfg.paths.run_id = hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:12]
    cfg.paths.command = job.job.config_name
    cfg.paths.run_group = f"{job.job.config_name} {os.environ[STARTED]}" if job.mode == RunMode.MULTIRUN else None
    _keep_earlier_log(run_dir)
    write_whole(run_dir / "config.yaml", lambda partial: OmegaConf.save(cfg, partial, resolve=True))
    return run_dir


@rank_zero_only
def _keep_earlier_log(run_dir: Path) -> None:
    """The CSV logger of a run that goes on would delete what it logged before."""
    log = run_dir / "csv"
    if log.exists():
        log.rename(next(path for n in itertools.count(1) if not (path := run_dir / f"csv_{n}").exists()))


def description_of(cfg: DictConfig) -> DatasetDescription:
    """The description of the data set of the configuration."""
    return describe(
        cfg.dataset.name,
        cfg.dataset.get("path") or cfg.dataset.get("root"),
        cfg.dataset.get("labels"),
        cfg.dataset.get("module"),
    )


def patch_of(cfg: DictConfig) -> PatchSpec:
    """The patch of the configuration."""
    return PatchSpec(cfg.patch, count=cfg.patches)


# What only a training asks for: the weights that a model starts from.
_START = {"pretrained": False, "weights": None, "head_rows": None}


def build_model(cfg: DictConfig, start: bool = True) -> ViTSRF:
    """The base model for the classes of the data set; without ``start`` nobody looks for the weights it began with."""
    settings = {name: value for name, value in cfg.model.items() if name not in ("name", "stride")}
    if not start:
        settings |= {name: value for name, value in _START.items() if name in settings}
    return instantiate(settings, num_classes=len(description_of(cfg).classes), _convert_="all")


def build_data(cfg: DictConfig, image_px: tuple[int, int], **arguments: Any) -> ImageDataModule:
    """The data module, for images of the size that the model takes."""
    settings = {name: value for name, value in cfg.dataset.items() if name != "patch"}
    return instantiate(settings, image_px=image_px, _convert_="all", **arguments)


def build_trainer(cfg: DictConfig, callbacks: list[L.Callback]) -> L.Trainer:
    """The Lightning trainer with its loggers, and with the configuration logged."""
    loggers = [instantiate(node) for node in cfg.logger.values()]
    # Made before anything is logged: only then does every process know its rank.
    trainer: L.Trainer = instantiate(cfg.trainer, logger=loggers, callbacks=[*callbacks, Throughput()], _convert_="all")
    _begin(cfg, trainer.loggers)
    return trainer


def build_loggers(cfg: DictConfig) -> list[Logger]:
    """The loggers of a command without a trainer, and with the configuration logged."""
    loggers = [instantiate(node) for node in cfg.logger.values()]
    _begin(cfg, loggers)
    return loggers


# Commands that are about the base model alone.
_WITHOUT_DEFENDER = ("attack", "audit_numerics")


def _begin(cfg: DictConfig, loggers: list[Logger]) -> None:
    if board := Board.of(loggers):
        about = {
            "command": cfg.paths.command,
            "dataset": description_of(cfg).name,
            "model": cfg.model.name,
            "patch": f"p{cfg.patch}",
        }
        if cfg.paths.command not in _WITHOUT_DEFENDER:
            about["defender"] = instantiate(cfg.defender, _convert_="all").name
        board.begin(about)
    for logger in loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]


# Settings that training and evaluation must share.
_SHARED = ("hydra.searchpath=", "dataset.root=", "dataset.resize=", "model.", "paths.", "patches=", "stride=")


def command_line(cfg: DictConfig, script: str) -> str:
    """The command that does ``train.py`` or ``eval.py`` for the data set, model and patch of this run."""
    description = description_of(cfg)
    chosen = [
        override("dataset", description.attacked or description.name),
        override("model", cfg.model.name),
        override("patch", cfg.patch),
    ]
    own = tuple(f"model.{name}=" for name in _START)
    overrides = HydraConfig.get().overrides
    shared = [o for o in [*overrides.hydra, *overrides.task] if _key(o).startswith(_SHARED)]
    return shlex.join(["python", script, *chosen, *(o for o in shared if not _key(o).startswith(own))])


def _key(override: str) -> str:
    """An override without the signs that say that it adds a setting."""
    return override.lstrip("+")


def device_of(trainer: L.Trainer) -> str:
    """What a run ran on, and on how many of them."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{trainer.world_size} x {name}"


def pick_device(name: str) -> str:
    """``cpu`` or ``cuda``, which ``auto`` is if there is one.

    Raises:
        ConfigurationError: for an unknown device, or one that isn't there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise ConfigurationError(f"there is no device {name!r} here; give device=auto, cpu or cuda")
    return name


def finish(trainer: L.Trainer) -> None:
    """Let the loggers write what they still have."""
    for logger in trainer.loggers:
        logger.finalize("success")
