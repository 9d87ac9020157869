"""Ways to label mutants, to train and to attack, timed against each other on one machine."""

from mrcert_pl.bench.machine import Machine
from mrcert_pl.bench.rows import Row, Way, compare
from mrcert_pl.bench.training import gradient_ways
from mrcert_pl.bench.ways import labelling_ways

__all__ = ["Machine", "Row", "Way", "compare", "gradient_ways", "labelling_ways"]
