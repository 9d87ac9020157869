"""A multirun ends with a table of its jobs, wherever a launcher runs them."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict
from result_files import ENVIRONMENT

from mrcert_pl.cli.app import command as command_of
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.results import TrainingResult


class ProcessLauncher(Launcher):
    """Runs all jobs at the same time, each in a process of its own, and fails at the end if one has failed."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        processes = [
            multiprocessing.get_context("fork").Process(target=self._run, args=(overrides, initial_job_idx + number))
            for number, overrides in enumerate(job_overrides)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise RuntimeError("a job has failed")
        return [JobReturn(status=JobStatus.COMPLETED) for _ in processes]

    def _run(self, overrides: Sequence[str], number: int) -> None:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        run_job(
            self.task,
            config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self.context,
        )


@pytest.fixture
def multirun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A command that fails for the seed 3; its arguments are settings."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "own.yaml").write_text(
        "seed: 0\nother: 1\nhydra:\n  callbacks:\n    jobs:\n      _target_: mrcert_pl.cli.jobs.JobOutcomes\n"
        "  sweep:\n    dir: sweep\n"
    )

    @command_of("own", tmp_path / "conf")
    def own(cfg: DictConfig) -> TrainingResult | None:
        if cfg.seed == 3:
            raise ConfigurationError("three is too many")
        if cfg.seed == 4:
            os._exit(137)
        score = {"monitor": "score", "best_score": cfg.seed / 10}
        return TrainingResult(dataset="d", model="m", patch=1, seed=0, environment=ENVIRONMENT, **score)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["own", *arguments])
        own()

    monkeypatch.chdir(tmp_path)
    for name in ("MRCERT_STARTED", "MRCERT_TRACEBACK", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "0")
    # Hydra takes plugins from this package only.
    name = "hydra_plugins.ProcessLauncher"
    monkeypatch.setitem(Plugins.instance().class_name_to_class, name, ProcessLauncher)
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="processes", node={"_target_": name})
    yield run
    del store.repo["hydra"]["launcher"]["processes.yaml"]


def table_of(output: str) -> list[list[str]]:
    """Number of jobs and rows of the table, header included."""
    before, _, table = output.partition(" jobs (accuracy in %)")
    return [[before.split()[-1]], *(line.split() for line in table.splitlines() if line.strip(" ─"))]


def test_a_single_run_has_no_table(multirun: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    multirun("seed=1")
    multirun("-m", "seed=1")
    assert "jobs (" not in capsys.readouterr().out


@pytest.mark.parametrize("launcher", ["basic", "processes"])
def test_a_multirun_ends_with_a_table_of_its_jobs(
    launcher: str, multirun: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        multirun("-m", "seed=1,2", "other=2", f"hydra/launcher={launcher}")
        table = table_of(capsys.readouterr().out)
        assert table == [["2"], ["seed", "score"], ["1", "10.0"], ["2", "20.0"]]
    assert not list(Path("sweep").glob(".jobs*"))


@pytest.mark.parametrize("launcher", ["basic", "processes"])
def test_a_failed_job_is_a_row_of_its_own(
    launcher: str, multirun: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SystemExit, RuntimeError)):
        multirun("-m", "seed=1,2,3", f"hydra/launcher={launcher}")
    printed = capfd.readouterr()
    assert "error: three is too many" in printed.err
    rows = [["seed", "state", "score"], ["1", "finished", "10.0"], ["2", "finished", "20.0"], ["3", "failed"]]
    assert table_of(printed.out) == [["3"], *rows]
    assert not list(Path("sweep").glob(".jobs*"))


def test_a_killed_job_is_not_finished(multirun: Callable[..., None], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="a job has failed"):
        multirun("-m", "seed=1,4", "hydra/launcher=processes")
    assert table_of(capfd.readouterr().out)[3] == ["4", "not", "finished"]


def test_a_process_that_a_job_starts_keeps_the_records(
    multirun: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Lightning starts the other processes of a job, with its environment."""
    records = Path("records")
    records.mkdir()
    monkeypatch.setenv("MRCERT_JOBS", str(records.absolute()))
    multirun("seed=1")
    assert records.is_dir()
    assert not list(records.iterdir())


def test_the_commands_with_results_record_their_jobs() -> None:
    import yaml

    from mrcert_pl.cli.configuration import CONF_DIR

    for name in ("_subject", "train"):
        hydra: Any = yaml.safe_load((CONF_DIR / f"{name}.yaml").read_text())["hydra"]
        assert hydra["callbacks"]["jobs"] == {"_target_": "mrcert_pl.cli.jobs.JobOutcomes"}
