"""Tiny data sets in the official formats."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrcert_pl.data.class_names import IMAGENETTE_FOLDERS


def write(file: Path, value: int = 0, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file)


@pytest.fixture
def write_image() -> Callable[..., None]:
    """Write an image of noise to a file."""
    return write


@pytest.fixture
def imagenette(tmp_path: Path, write_image: Callable[..., None]) -> Path:
    """Ten classes with four training and two test images each."""
    root = tmp_path / "imagenette"
    for part, count in (("train", 4), ("val", 2)):
        for label, folder in enumerate(IMAGENETTE_FOLDERS):
            for i in range(count):
                write_image(root / part / folder / f"{folder}_{i}.JPEG", value=100 * label + i)
    return root
