"""Comparison of the second implementation with the defenders."""

import numpy as np
from torch import Tensor

from mrcert_pl.defenders import Verdicts
from mrcert_pl.mutants.table import PredictionTable

_COLUMNS = {"prediction": "label"}


def arrays(table: PredictionTable) -> tuple[np.ndarray, np.ndarray]:
    """Labels and margins of a table in NumPy."""
    assert table.margins is not None
    return table.labels.numpy(), table.margins.double().numpy()


def assert_same(verdicts: Verdicts, answers: dict[str, np.ndarray]) -> None:
    """Compare every answer with the field of the verdicts."""
    for name, column in answers.items():
        expected: Tensor = getattr(verdicts, _COLUMNS.get(name, name))
        assert expected.tolist() == column.tolist(), name
