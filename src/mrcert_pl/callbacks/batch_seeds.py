"""Randomness of training that doesn't depend on where it was stopped."""

import random
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback


class BatchSeeds(Callback):
    """Seeds every training batch from (seed, epoch, batch, rank).

    Masks, mixup and drop path then draw the same numbers for a batch whether the run came to it from the one before or
    from a checkpoint. With :class:`mrcert_pl.data.TrainingSplit`, whose augmentation is seeded image by image, a run
    that was stopped and resumed ends with the weights of one that wasn't.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        progress: Any = trainer.fit_loop.epoch_progress.current
        origin = [self.seed, progress.processed, batch_idx, trainer.global_rank]
        seed = int(np.random.SeedSequence(origin).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
