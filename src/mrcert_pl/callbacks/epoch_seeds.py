"""Randomness of training that doesn't depend on where it was stopped."""

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback


class EpochSeeds(Callback):
    """Seeds every training epoch from (seed, epoch, rank).

    Masks, mixup and augmentation then draw the same numbers in an epoch whether the run came from the epoch before or
    from a checkpoint, so a run that was stopped and resumed ends with the weights of one that wasn't.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        state = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank]).generate_state(1)
        L.seed_everything(int(state[0]), workers=True, verbose=False)
