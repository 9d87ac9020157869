from collections import Counter

from mrcert_pl.data.records import Record
from mrcert_pl.data.splits import held_out

RECORDS = [Record(i, i % 3, f"train/{i % 3}/{i}.png") for i in range(300)]


def test_each_class_gives_its_fraction() -> None:
    rest, val = held_out(RECORDS, 0.1)
    assert Counter(record.label for record in val) == {0: 10, 1: 10, 2: 10}
    assert sorted([*rest, *val]) == RECORDS
    assert rest == sorted(rest)
    assert val == sorted(val)


def test_the_choice_is_the_same_everywhere() -> None:
    """Known values: another choice would put training images of older checkpoints into validation."""
    assert [record.id for record in held_out(RECORDS, 0.02)[1]] == [21, 23, 50, 97, 202, 252]


def test_the_ending_of_a_file_doesnt_matter() -> None:
    jpegs = [record._replace(path=record.path.replace(".png", ".jpeg")) for record in RECORDS]
    assert [r.id for r in held_out(jpegs, 0.1)[1]] == [r.id for r in held_out(RECORDS, 0.1)[1]]


def test_groups_stay_together() -> None:
    rest, val = held_out(RECORDS, 0.1, group=lambda path: path[:-5])
    groups = [{record.path[:-5] for record in side} for side in (rest, val)]
    assert val
    assert not groups[0] & groups[1]


def test_small_classes_have_an_image_to_train_on() -> None:
    rest, val = held_out([Record(0, 0, "a"), Record(1, 1, "b"), Record(2, 1, "c")], 0.9)
    assert {record.label for record in rest} == {0, 1}
    assert [record.label for record in val] == [1]
