"""The W&B run of one command."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.views.wandb.artifacts import Artifact, Artifacts

# Summaries of metrics in the table of runs; of all others it is the last value.
_SUMMARIES = {
    "val/certified_accuracy": "max,last",
    "val/round_trip_accuracy": "max,last",
    "val/clean_accuracy": "max,last",
    "val/base_accuracy": "max,last",
    "val/unmasked_accuracy": "max,last",
    "val/loss": "min,last",
    "train/loss": "min,last",
    "train/images_per_second": "mean,last",
}
_STEP = "trainer/global_step"

Overlay = tuple[np.ndarray, Mapping[int, str]]
"""Numbers ``[height, width]``, 0 for none, and the meaning of the others."""

Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""By name the abscissas and the ordinates of a line."""


class WandbRun:
    """The W&B run of a command; false without one.

    Args:
        run: the ``wandb.Run``.
    """

    def __init__(self, run: Any = None) -> None:
        self._run = run

    @classmethod
    def of(cls, loggers: Iterable[Any]) -> "WandbRun":
        """The run of Lightning's W&B logger, if there is one among ``loggers`` and this is the process of rank 0.

        Raises:
            ConfigurationError: If the run is to be sent, and there is no account or it cannot be reached.
        """
        from lightning.pytorch.loggers import WandbLogger
        from lightning.pytorch.utilities import rank_zero_only

        logger = next((logger for logger in loggers if isinstance(logger, WandbLogger)), None)
        if logger is None or getattr(rank_zero_only, "rank", 0) > 0:
            return cls()
        if logger._offline:
            # Lightning sets an environment variable, which W&B reads only once in a process.
            logger._wandb_init["mode"] = "offline"
        else:
            check_account("logger.wandb.offline=false")
        # W&B warns of this argument of Lightning's, which does nothing any more.
        logger._wandb_init.pop("anonymous", None)
        with _reached():
            return cls(logger.experiment)

    @classmethod
    def opened(cls, project: str, entity: str | None, folder: Path, offline: bool = True) -> "WandbRun":
        """Open a run without a logger.

        Args:
            project: Project of the run.
            entity: Team or user of the account; ``None`` is its own.
            folder: Folder of the run's files.
            offline: Keep the run in that folder.

        Raises:
            ConfigurationError: If the account cannot be reached.
        """
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        mode: Any = "offline" if offline else "online"
        with _reached():
            run = wandb.init(project=project, entity=entity, dir=folder.resolve(), mode=mode, job_type="dashboard")
        return cls(run)

    def __bool__(self) -> bool:
        return self._run is not None

    def describe(self, about: Mapping[str, Any]) -> None:
        """Name the run by its subject, and set the summaries of its metrics.

        Args:
            about: Plain values that tell runs apart, to group and to filter by.
        """
        self._run.name = " ".join(str(value) for value in about.values())
        self._run.config.update({"about": dict(about)}, allow_val_change=True)
        for name, summary in _SUMMARIES.items():
            self._run.define_metric(name, summary=summary, step_metric=_STEP)

    def numbers(self, values: Mapping[str, float]) -> None:
        """Log numbers."""
        self._run.log(dict(values))

    def table(self, key: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Log a table; its cells are plain values and results of :meth:`image`."""
        self._run.log({key: self._table(columns, rows)})

    def bars(self, key: str, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Log a table and a bar chart of it: the first column are the labels, the second one the values."""
        import wandb

        self._run.log({key: wandb.plot.bar(self._table(columns, rows), columns[0], columns[1], title)})

    def lines(self, key: str, title: str, x: str, series: Lines) -> None:
        """Log a chart of lines, by name the values of ``x`` and those above them."""
        import wandb

        xs, ys = zip(*series.values(), strict=True)
        self._run.log({key: wandb.plot.line_series(xs, ys, keys=list(series), title=title, xname=x)})

    def image(self, image: np.ndarray, overlays: Mapping[str, Overlay] | None = None) -> Any:
        """An image ``[height, width, 3]`` in [0, 1], with overlays that can be switched on and off."""
        import wandb

        masks = {
            name: {"mask_data": numbers.astype(np.uint8), "class_labels": dict(meaning)}
            for name, (numbers, meaning) in (overlays or {}).items()
        }
        return wandb.Image((image * 255).round().astype(np.uint8), masks=masks or None)

    def log_artifacts(self, artifacts: Artifacts) -> None:
        """Record the inputs and the outputs of the run."""
        for each in artifacts.used:
            artifact = _artifact(each)
            if self._run.offline:
                # Offline, use_artifact refuses. This is what it does online with an artifact that may be new: the file
                # of the run keeps it, and wandb sync does it later.
                self._run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
            else:
                self._run.use_artifact(artifact)
        for each in artifacts.made:
            self._run.log_artifact(_artifact(each))

    @staticmethod
    def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
        import wandb

        return wandb.Table(columns=list(columns), data=[list(row) for row in rows])


@contextmanager
def run_closed() -> Iterator[None]:
    """Close a W&B run that was opened meanwhile: as failed if there was an exception.

    Otherwise the next job of a multirun would continue it.
    """
    before = _open_run()
    failed = True
    try:
        yield
        failed = False
    finally:
        if (run := _open_run()) is not None and run is not before:
            run.finish(exit_code=int(failed))
            if run.offline and not run.disabled:
                print(f"The W&B run is kept offline; send it with:  wandb sync {Path(run.dir).parent}")


@contextmanager
def _reached() -> Iterator[None]:
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        raise ConfigurationError(
            f"W&B can't open a run: {error}\nKeep it offline, which is the default, and send it later with wandb sync"
        ) from error


def _open_run() -> Any:
    # Without the import, which is slow, there is no run either.
    return getattr(sys.modules.get("wandb"), "run", None)


def _artifact(described: Artifact) -> Any:
    import wandb

    artifact = wandb.Artifact(described.name, described.kind, metadata=dict(described.facts))
    for name, text in described.texts.items():
        with artifact.new_file(name) as file:
            file.write(text)
    for name, path in described.files.items():
        artifact.add_file(str(path), name, policy="immutable")
    for name, path in described.references.items():
        files = sum(1 for _ in path.rglob("*"))
        artifact.add_reference(path.resolve().as_uri(), name, max_objects=max(files, 1))
    return artifact


def check_account(needed_by: str) -> None:
    """Check that there is an account; W&B itself would stop and ask for one.

    Args:
        needed_by: The setting that needs one.

    Raises:
        ConfigurationError: If there is none.
    """
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise ConfigurationError(
            f"{needed_by} needs an account of W&B: call wandb login once, or set WANDB_API_KEY; "
            "what is kept offline can be sent later"
        )
