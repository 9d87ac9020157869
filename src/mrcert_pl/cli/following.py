"""Follow-up commands of a run, with the settings that must equal its own."""

import shlex

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mrcert_pl.cli.overrides import override
from mrcert_pl.initial_weights import INITIAL_WEIGHTS

# Settings that training and evaluation share.
_SHARED = (
    "hydra.searchpath=",
    "dataset.root=",
    "dataset.resize=",
    "dataset.labels=",
    "model.",
    "paths.",
    "patches=",
    "stride=",
)


def command_line(cfg: DictConfig, command: str) -> str:
    """Return the command line of ``train`` or ``eval`` for the data set, model and patch of this run."""
    dataset = cfg.dataset.get("source") or cfg.dataset.name
    chosen = [override("dataset", dataset), override("model", cfg.model.name), override("patch", cfg.patch)]
    own = tuple(f"model.{name}=" for name in INITIAL_WEIGHTS)
    given = HydraConfig.get().overrides
    shared = [o for o in [*given.hydra, *given.task] if _key(o).startswith(_SHARED) and not _key(o).startswith(own)]
    return shlex.join(["mrcert", command, *chosen, *shared])


def _key(override: str) -> str:
    """Return an override without its leading plus signs."""
    return override.lstrip("+")
