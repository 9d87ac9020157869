"""Preparation of a process for a task: seeds, arithmetic, warnings, log, device."""

import itertools
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from mrcert_pl.files import refuse_finished, run_lock
from mrcert_pl.tasks.settings import RunSettings

log = logging.getLogger("mrcert_pl")


@contextmanager
def opened(run: RunSettings, leaves: str | None = None) -> Iterator[None]:
    """Seed every generator, use IEEE float32, and make this command the only writer of the run's folder.

    Args:
        run: folder and seed of the run.
        leaves: name of the result in the folder, which must not exist yet.

    Raises:
        ResultsError: if another process writes to the folder, or it has such a result.
    """
    first = is_first_process()
    with run_lock(run.folder) if first else nullcontext():
        if first and leaves is not None:
            refuse_finished(run.folder / leaves)
        _begin(run)
        yield
        for logger in run.loggers:
            logger.finalize("success")


def is_first_process() -> bool:
    """Return whether this is the only process, or the one of rank 0."""
    return not getattr(rank_zero_only, "rank", 0)


def _begin(run: RunSettings) -> None:
    # Notices about hardware and other products; warnings and errors still come through.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # The metrics sum their counts over all devices themselves.
    warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    L.seed_everything(run.seed, workers=True, verbose=False)
    _keep_earlier_log(run.folder)
    for logger in run.loggers:
        logger.log_hyperparams(dict(run.config))


@rank_zero_only
def _keep_earlier_log(folder: Path) -> None:
    """Rename the CSV log of an earlier start of the run: Lightning's logger deletes it otherwise."""
    earlier = folder / "csv"
    if earlier.exists():
        earlier.rename(next(path for n in itertools.count(1) if not (path := folder / f"csv_{n}").exists()))


def device_of(trainer: L.Trainer) -> str:
    """Return the number and the kind of a trainer's devices, for results."""
    device = trainer.strategy.root_device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{trainer.world_size} x {kind}"
