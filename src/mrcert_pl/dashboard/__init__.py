"""Everything that knows Weights & Biases: the run of a command, its lineage and figures, dashboards of a project."""

from mrcert_pl.dashboard import figures
from mrcert_pl.dashboard.board import Board, check_account, run_closed
from mrcert_pl.dashboard.pieces import (
    Piece,
    attacked_piece,
    checkpoint_piece,
    dataset_piece,
    outcome_piece,
    tables_piece,
)

__all__ = [
    "Board",
    "Piece",
    "attacked_piece",
    "check_account",
    "checkpoint_piece",
    "dataset_piece",
    "figures",
    "outcome_piece",
    "run_closed",
    "tables_piece",
]
