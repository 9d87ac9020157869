"""Runs as tasks of a SLURM job: one folder for all of them, found again when the job is requeued."""

import os

from mrcert_pl.cli.configuration import register_resolver


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


def register() -> None:
    """Let configurations name folders by ``${run_name:...}``."""
    register_resolver("run_name", run_name)
