"""Honest evaluations, and copies to be changed."""

import shutil
from pathlib import Path

import pytest
import torch
from evaluations import evaluation


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The tests before it must not matter.
    torch.manual_seed(2)
    return evaluation(tmp_path_factory.mktemp("honest") / "run")


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy of an honest evaluation, to be changed."""
    return Path(shutil.copytree(honest, tmp_path / "run"))
