"""Checkpoints that a killed process cannot destroy."""

import io
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from mrcert_pl.files import write_whole


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
        write_whole(Path(path), lambda partial: partial.write_bytes(content.getbuffer()), "paths.output_dir")


class Checkpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, with :class:`WholeCheckpointIO` as the trainer's writer."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        # Another writer is the choice of whoever passed it to the trainer.
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()
