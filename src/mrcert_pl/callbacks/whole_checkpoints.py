"""Checkpoints that a killed process cannot destroy."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from mrcert_pl.files import write_whole

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class WholeCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its target, flush it to the disk and rename it.

    Lightning writes into the temporary directory and moves the file. Between two file systems that is a copy, and a
    kill during the copy leaves an incomplete checkpoint instead of the earlier one. Here the earlier one stays until
    the new one is complete.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save a checkpoint.

        Raises:
            ResultsError: If the folder can't be written.
        """
        # Serialised in memory: a full disk is then an OSError of the write, not an abort inside torch's zip writer.
        content = io.BytesIO()
        torch.save(checkpoint, content)

        def write(partial: Path) -> None:
            partial.write_bytes(content.getbuffer())
            _keep_earlier(Path(path))

        write_whole(Path(path), write, "paths.output_dir")


def _keep_earlier(path: Path) -> None:
    """Keep ``last.ckpt`` as ``previous.ckpt``: if a disk damages the one, a training resumes from the other."""
    if path.name == LAST and path.exists():
        earlier = path.with_name(PREVIOUS)
        spare = earlier.with_name(f".{earlier.name}")
        with suppress(OSError):
            spare.unlink(missing_ok=True)
            os.link(path, spare)
            spare.replace(earlier)


class Checkpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, with :class:`WholeCheckpointIO` as the trainer's writer."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        # Another writer is the choice of whoever passed it to the trainer.
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()
