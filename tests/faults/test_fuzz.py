"""Damaged and arbitrary inputs are read or refused; ``fuzz.py`` has the long version."""

from pathlib import Path

import pytest
from fuzz import fuzz, targets
from result_files import result_of, row

NAMES = (
    "images",
    "stores",
    "checkpoints (safetensors)",
    "checkpoints (ckpt)",
    "models in checkpoints",
    "headers of stores",
    "attacked sets",
    "results",
    "results (bytes)",
    "requests",
    "forms",
    "settings",
)


@pytest.mark.parametrize("name", NAMES)
def test_an_input_is_read_or_refused(name: str, tmp_path: Path) -> None:
    every = targets(tmp_path, result_of([row(0), row(1)]))
    assert set(every) == set(NAMES)
    figures = fuzz(every[name], 40)
    assert figures["refused"] > 0
