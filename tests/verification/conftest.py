"""Honest evaluations, and copies to be changed."""

import shutil
from pathlib import Path

import pytest
from evaluations import evaluation


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluation(tmp_path_factory.mktemp("honest") / "run")


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy of an honest evaluation, to be changed."""
    return Path(shutil.copytree(honest, tmp_path / "run"))
