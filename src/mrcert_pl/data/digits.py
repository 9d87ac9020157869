"""The embedded data set: 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mrcert_pl.data.records import Record, Split

# Part of the data set, not of a run: the test images are the same for every seed.
_SPLIT_SEED = 0
_TEST_FRACTION, _VAL_FRACTION = 0.2, 0.1


class Digits:
    """Handwritten digits (UCI Optical Recognition of Handwritten Digits, test part), 8x8 pixels of 0 to 16.

    The split is fixed and stratified by class: 1,257 training, 180 validation and 360 test images.
    """

    def __init__(self, root: Path | None = None) -> None:
        # Loaded for these images alone: a guard waits for neither.
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        data = load_digits()
        self._pixels = np.round(data.images * (255 / 16)).astype(np.uint8)
        ids = np.arange(len(data.target))
        rest, test = train_test_split(ids, test_size=_TEST_FRACTION, stratify=data.target, random_state=_SPLIT_SEED)
        train, val = train_test_split(
            rest, test_size=_VAL_FRACTION / (1 - _TEST_FRACTION), stratify=data.target[rest], random_state=_SPLIT_SEED
        )
        self._records = {
            split: [Record(int(i), int(data.target[i]), f"digits/{i}") for i in sorted(members)]
            for split, members in (("train", train), ("val", val), ("test", test))
        }

    def records(self, split: Split) -> Sequence[Record]:
        return self._records[split]

    def image(self, record: Record) -> Image.Image:
        return Image.fromarray(self._pixels[record.id])
