"""Images for figures, by their ids."""

from pathlib import Path

import numpy as np
import pytest

from mrcert_pl.data import ImageDataModule
from mrcert_pl.tasks.examples import attack_examples, defence_examples, image_source
from mrcert_pl.tasks.settings import DatasetSettings


@pytest.fixture
def digits() -> ImageDataModule:
    return DatasetSettings(limit=4).load((32, 32), 0)


def test_images_by_id(digits: ImageDataModule) -> None:
    split, image_of = digits.split("test"), image_source(digits)
    for position, record in enumerate(split.records):
        image = image_of(record.id)
        assert image.shape == (32, 32, 3)
        assert np.array_equal(image, split[position].image.permute(1, 2, 0).numpy())


def test_without_a_request_nothing_is_opened(digits: ImageDataModule) -> None:
    assert attack_examples(Path("nowhere"), digits, 0) == []
    assert defence_examples(DatasetSettings("attacked", root=Path("nowhere")), []) == []
    assert defence_examples(DatasetSettings(), []) == []
