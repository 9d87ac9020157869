"""Labels of mutants: the prediction table, and the engine that fills it."""

from mrcert_pl.mutants.evaluator import MaskableModel, MutantEvaluator
from mrcert_pl.mutants.store import TableStore, newest_store, store_header, stored_header
from mrcert_pl.mutants.table import NOT_EVALUATED, Mutants, MutantSet, PredictionTable

__all__ = [
    "NOT_EVALUATED",
    "MaskableModel",
    "MutantEvaluator",
    "MutantSet",
    "Mutants",
    "PredictionTable",
    "TableStore",
    "newest_store",
    "store_header",
    "stored_header",
]
