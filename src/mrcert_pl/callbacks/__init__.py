"""Lightning callbacks."""

from mrcert_pl.callbacks.epoch_seeds import EpochSeeds
from mrcert_pl.callbacks.mutant_predictions import MutantPredictions
from mrcert_pl.callbacks.progress import ImageProgressBar

__all__ = ["EpochSeeds", "ImageProgressBar", "MutantPredictions"]
