"""Methods to label mutants, to train and to attack, timed against each other on one machine."""

from benchmarks.gradients import gradient_methods
from benchmarks.machine import Machine
from benchmarks.methods import labelling_methods
from benchmarks.rows import Method, compare

__all__ = ["Machine", "Method", "compare", "gradient_methods", "labelling_methods"]
