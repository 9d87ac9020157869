"""What the tests of tasks share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_model import Columns, decisive_columns
from small_tasks import training

from mrcert_pl import RunSettings, train
from mrcert_pl.results import TrainingResult


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training of one epoch."""
    return train(training(tmp_path_factory.mktemp("trainings") / "first"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunSettings]:
    """Makes the settings of a run in a folder of its own."""
    return lambda name="run", **settings: RunSettings(tmp_path / "runs" / name, **settings)


@pytest.fixture
def decisive() -> Columns:
    return decisive_columns()
