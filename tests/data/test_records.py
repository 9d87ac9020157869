"""Records, and what a data set that is open for reading offers."""

from pathlib import Path

from PIL import Image
from torch import Tensor

from mrcert_pl.data import Record, Source, describe


def test_records_are_sorted_by_id() -> None:
    records = [Record(3, 0, "a"), Record(1, 9, "z"), Record(2, 4, "b")]
    assert [record.id for record in sorted(records)] == [1, 2, 3]


def test_open_data_sets_are_sources(imagenette: Path) -> None:
    for name, root in (("digits", None), ("imagenette", imagenette)):
        source = describe(name).open(root)
        assert isinstance(source, Source)
        splits = [source.records(split) for split in ("train", "val", "test")]
        for records in splits:
            assert list(records) == sorted(records)
            assert isinstance(source.image(records[0]), Image.Image | Tensor)
        ids = [record.id for records in splits for record in records]
        assert len(ids) == len(set(ids))


def test_an_object_without_images_is_no_source() -> None:
    class Listing:
        def records(self, split: str) -> list[Record]:
            return []

    assert not isinstance(Listing(), Source)
