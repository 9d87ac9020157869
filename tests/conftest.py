"""What all tests share."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from jaxtyping import config, install_import_hook
from lightning.pytorch import seed_everything

# Before the package is imported: shapes in signatures are checked in tests, and nowhere else.
SHAPES_CHECKED = ("geometry", "mutants", "defenders", "metrics", "models", "attacks", "training")
install_import_hook([f"mrcert_pl.{package}" for package in SHAPES_CHECKED], "beartype.beartype")

from mrcert_pl.models import ViTSRF  # noqa: E402

# The models of the tests are tiny: more threads only get in each other's way.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _shapes_checked(request: pytest.FixtureRequest) -> None:
    """Check shapes in the tests of these packages; in all others the same calls would take a third of the time.

    A test of such a package that plays through thousands of tables is marked ``unchecked_shapes``.
    """
    package = request.path.relative_to(Path(__file__).parent).parts[0]
    checked = package in SHAPES_CHECKED and request.node.get_closest_marker("unchecked_shapes") is None
    config.update("jaxtyping_disable", not checked)


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    """Take away what a command has set on the package's logger, whose streams end with the test."""
    yield
    log = logging.getLogger("mrcert_pl")
    log.handlers.clear()
    log.propagate = True
    log.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _seed() -> None:
    seed_everything(0, verbose=False)


@pytest.fixture
def tiny_vit() -> ViTSRF:
    """Fourteen columns of 16 px, ten classes."""
    backbone_args = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    return ViTSRF("vit_tiny_patch16_224", num_classes=10, split=1, backbone_args=backbone_args).eval()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Runs a command of the console script in an empty folder."""
    from mrcert_pl.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["mrcert", *arguments])
        # Hydra commands set this; a test must not leave it behind.
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        main()

    return run
