from collections import Counter

import numpy as np
from sklearn.datasets import load_digits

from mrcert_pl.data import describe
from mrcert_pl.data.digits import Digits


def test_splits_are_disjoint_complete_and_stratified() -> None:
    source = Digits()
    records = {split: source.records(split) for split in ("train", "val", "test")}
    assert {split: len(r) for split, r in records.items()} == {"train": 1257, "val": 180, "test": 360}
    ids = [record.id for split in records.values() for record in split]
    assert sorted(ids) == list(range(1797))
    for split in records.values():
        assert [r.id for r in split] == sorted(r.id for r in split)
        counts = Counter(record.label for record in split)
        share = [counts[label] / len(split) for label in range(10)]
        assert np.allclose(share, 0.1, atol=0.012)


def test_the_split_is_the_same_everywhere() -> None:
    """Known values: another split would put images that older checkpoints were trained on into the test."""
    first = {split: [record.id for record in Digits().records(split)[:8]] for split in ("val", "test")}
    assert first == {"val": [5, 15, 29, 31, 41, 54, 62, 72], "test": [21, 24, 28, 34, 35, 37, 39, 42]}


def test_labels_and_pixels_are_those_of_the_data_set() -> None:
    source, data = Digits(), load_digits()
    for record in source.records("val"):
        assert record.label == data.target[record.id]
        image = np.asarray(source.image(record))
        assert image.shape == (8, 8)
        assert np.abs(image / 255 * 16 - data.images[record.id]).max() < 0.04


def test_the_description_names_ten_classes() -> None:
    assert describe("digits").classes == tuple("0123456789")
