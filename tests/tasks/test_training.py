"""Settings that a resumed training must have."""

from pathlib import Path

from mrcert_pl import DatasetSettings, TrainingSettings


def test_a_training_on_other_photos_is_not_resumed() -> None:
    """Of data sets with a name of their own the images are the same wherever they are."""
    photos = [TrainingSettings(dataset=DatasetSettings("folder", Path(root))).identity() for root in ("a", "b")]
    assert photos[0] != photos[1]
    digits = [TrainingSettings(dataset=DatasetSettings("digits", Path(root))).identity() for root in ("a", "b")]
    assert digits[0] == digits[1]
