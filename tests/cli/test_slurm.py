"""Runs as tasks of a SLURM job."""

import pytest

from mrcert_pl.cli.slurm import requeued, run_name


def test_the_tasks_of_a_slurm_job_share_the_folder_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    assert run_name("10-31-04") == "10-31-04"
    assert not requeued()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    # Several commands of one step with one task have folders of their own.
    assert run_name("10-31-04") == "10-31-04"
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert run_name("10-31-04") == run_name("10-31-05") == "slurm_7_0"
    assert requeued()
