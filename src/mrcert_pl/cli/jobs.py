"""Outcomes of the jobs of a multirun, in whichever process or on whichever machine a launcher runs them."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from mrcert_pl.files import write_json

if TYPE_CHECKING:
    from mrcert_pl.results.schema import RunDocument

# Path of the folder of the outcomes. Launchers hand the environment to the processes of the jobs.
_FOLDER = "MRCERT_JOBS"


class JobOutcomes(Callback):
    """Hydra callback: make the folder of the outcomes at the start of a multirun.

    It lies beside the folders of the jobs, which all machines of a launcher share.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        sweep = Path(config.hydra.sweep.dir).absolute()
        sweep.mkdir(parents=True, exist_ok=True)
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix=".jobs_", dir=sweep)


@contextmanager
def recorded() -> "Iterator[Callable[[RunDocument], None]]":
    """Record the outcome of this job, if it belongs to a multirun.

    Yields:
        Function that is called with the result.
    """
    from mrcert_pl.tasks.runtime import is_first_process

    job, folder = HydraConfig.get(), os.environ.get(_FOLDER)
    if folder is None or job.mode != RunMode.MULTIRUN or not is_first_process():
        yield lambda result: None
        return
    file = Path(folder, f"{job.job.num}.json")
    pairs = (override.lstrip("+").partition("=") for override in job.overrides.task)
    record: dict[str, Any] = {"settings": {name: value for name, _, value in pairs}, "result": None}

    def keep(result: "RunDocument") -> None:
        record["result"] = json.loads(result.to_json())

    # The state of a killed job.
    write_json(file, {**record, "state": "not finished"})
    try:
        yield keep
    except BaseException:
        write_json(file, {**record, "state": "failed"})
        raise
    write_json(file, {**record, "state": "finished"})


@contextmanager
def shown_at_end() -> Iterator[None]:
    """Print the table of the jobs at the end of a multirun, also if a job fails, and remove their records."""
    # A job of a multirun may have started this process.
    os.environ.pop(_FOLDER, None)
    try:
        yield
    finally:
        if folder := os.environ.pop(_FOLDER, None):
            try:
                _show(Path(folder))
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def _show(folder: Path) -> None:
    from mrcert_pl.results.schema import RUN_DOCUMENTS
    from mrcert_pl.tasks.runtime import is_first_process
    from mrcert_pl.views.jobs import Job, show_jobs

    jobs = []
    for file in sorted(folder.glob("*.json"), key=lambda file: int(file.stem)):
        record = json.loads(file.read_text(encoding="utf-8"))
        content = record["result"]
        result = None if content is None else RUN_DOCUMENTS[content["kind"]].from_plain(content, file)
        # A command without a result has no row.
        if result is not None or record["state"] != "finished":
            jobs.append(Job(record["settings"], result, record["state"]))
    if len(jobs) > 1 and is_first_process():
        show_jobs(jobs)
