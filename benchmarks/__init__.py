"""Ways to label mutants, to train and to attack, timed against each other on one machine."""

from benchmarks.machine import Machine
from benchmarks.rows import Row, Way, compare
from benchmarks.training import gradient_ways
from benchmarks.ways import labelling_ways

__all__ = ["Machine", "Row", "Way", "compare", "gradient_ways", "labelling_ways"]
