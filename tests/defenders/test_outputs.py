"""Output levels, and the verdicts limited to them."""

import pickle

import pytest
import torch

from mrcert_pl.defenders import ANY_LABEL, NO_ALERT, OutputLevel, Verdicts
from mrcert_pl.defenders.outputs import NO_LABEL
from mrcert_pl.errors import ConfigurationError

NAMES = ["label", "certificate", "round_trip", "map", "table"]


def verdicts(images: int = 3) -> Verdicts:
    numbers, flags = torch.arange(images), torch.arange(images) > 0
    return Verdicts(numbers, flags, flags, numbers, numbers, numbers, numbers, flags[:, None].expand(-1, 2))


def test_levels_are_ordered_by_their_outputs() -> None:
    levels = [OutputLevel(name) for name in NAMES]
    assert levels == list(OutputLevel)
    assert sorted([levels[2], levels[4], levels[0]]) == [levels[0], levels[2], levels[4]]
    assert OutputLevel.LABEL < OutputLevel.MAP <= OutputLevel.MAP < OutputLevel.TABLE
    assert OutputLevel("round_trip").up_to() == levels[:3]


def test_an_unknown_level_lists_the_known() -> None:
    with pytest.raises(ConfigurationError, match="unknown output level 'maps'"):
        OutputLevel("maps")


def test_a_level_is_itself_after_pickling_and_by_its_value() -> None:
    assert pickle.loads(pickle.dumps(OutputLevel.MAP)) is OutputLevel.MAP
    assert OutputLevel(OutputLevel.MAP) is OutputLevel.MAP


@pytest.mark.parametrize(("name", "patches"), [("label", 0), ("certificate", 1), ("round_trip", 2), ("map", 3)])
def test_patches_of_the_certificates(name: str, patches: int) -> None:
    assert OutputLevel(name).patches(3) == patches
    assert OutputLevel(name).patches(1) == min(patches, 1)


@pytest.mark.parametrize(("name", "fields"), [("label", 4), ("certificate", 5), ("round_trip", 6), ("map", 8)])
def test_verdicts_have_the_fields_of_their_level(name: str, fields: int) -> None:
    limited = verdicts().only(OutputLevel(name))
    assert sum(value is not None for value in vars(limited).values()) == fields
    assert len(limited) == 3


def test_parts_are_concatenated() -> None:
    limited = verdicts().only(OutputLevel.CERTIFICATE)
    both = Verdicts.cat([limited, limited])
    assert both.label.tolist() == [0, 1, 2, 0, 1, 2]
    assert both.round_trip is None


def test_no_entry_and_no_label_are_negative() -> None:
    """Entries and labels are numbered from 0."""
    assert max(NO_ALERT, NO_LABEL, ANY_LABEL) < 0
    assert NO_LABEL != ANY_LABEL
