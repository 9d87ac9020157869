"""Lightning callbacks."""

from mrcert_pl.callbacks.batch_seeds import BatchSeeds
from mrcert_pl.callbacks.mutant_predictions import MutantPredictions
from mrcert_pl.callbacks.progress import ImageProgressBar
from mrcert_pl.callbacks.throughput import Throughput

__all__ = ["BatchSeeds", "ImageProgressBar", "MutantPredictions", "Throughput"]
