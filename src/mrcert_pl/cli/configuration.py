"""Location of the Hydra configuration."""

import os
from pathlib import Path

import mrcert_pl

_PACKAGE = Path(mrcert_pl.__file__).parent


def _conf_dir() -> Path:
    """Return ``conf/`` at the top of a checkout, or the copy that the wheel carries as ``mrcert_pl/conf``."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "conf"


CONF_DIR = _conf_dir()
"""Folder of the Hydra configuration: the same files in a checkout and in an installed wheel."""


def most_specific(group: str, option: str, model: str, dataset: str) -> str:
    """Return the most specific option of a group for a model kind and a data set.

    The candidates are ``option_model_dataset``, ``option_model`` and ``option_dataset``, in this order.

    Args:
        group: Folder below ``conf/``.
        option: Option that the group refines.
        model: Chosen model kind.
        dataset: Chosen data set.

    Returns:
        The first candidate that has a file, else ``none``.
    """
    candidates = (f"{option}_{model}_{dataset}", f"{option}_{model}", f"{option}_{dataset}")
    return next((name for name in candidates if (CONF_DIR / group / f"{name}.yaml").is_file()), "none")


def run_name(time: str) -> str:
    """Return the name of a run's folder: the time, or job and step where several SLURM tasks share the run.

    The tasks of a step start at different times and must use one folder, and a requeued job must find its own.

    Args:
        time: Time at which this process was started.
    """
    step = os.environ.get("SLURM_STEP_ID")
    if step is None or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
        return time
    return f"slurm_{os.environ['SLURM_JOB_ID']}_{step}"


def requeued() -> bool:
    """Return whether SLURM has started this job again."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
