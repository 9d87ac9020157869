"""Randomness of training that does not depend on interruptions."""

import random
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback


class BatchSeeds(Callback):
    """Seed every training batch from (seed, epoch, batch, rank).

    Masks, mixup and drop path then draw the same numbers for a batch in a run that was resumed before it. With
    :class:`mrcert_pl.data.TrainingSplit`, whose augmentation is seeded image by image, an interrupted and resumed run
    ends with the weights of an uninterrupted one.

    Args:
        seed: Seed of the run.
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
