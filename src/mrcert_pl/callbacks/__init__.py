"""Lightning callbacks."""

from mrcert_pl.callbacks.batch_seeds import BatchSeeds
from mrcert_pl.callbacks.mutant_predictions import MutantPredictions
from mrcert_pl.callbacks.progress import ImageProgressBar
from mrcert_pl.callbacks.throughput import Throughput
from mrcert_pl.callbacks.whole_checkpoints import Checkpoint, WholeCheckpointIO

__all__ = ["BatchSeeds", "Checkpoint", "ImageProgressBar", "MutantPredictions", "Throughput", "WholeCheckpointIO"]
