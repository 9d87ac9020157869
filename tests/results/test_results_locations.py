"""Maps come back as they were written; damaged ones are refused."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import Locations, read_locations, write_locations


def test_maps_come_back_with_the_shapes_of_their_patches(tmp_path: Path) -> None:
    counts = [np.arange(12).reshape(3, 4), np.zeros((1, 6), dtype=int)]
    file = write_locations(tmp_path / "locations.npz", Locations(tuple(counts), 20, (8, 8)))
    found = read_locations(file)
    assert (found.n, found.image_px) == (20, (8, 8))
    assert found.shapes_px() == [(6, 5), (8, 3)]
    for ours, theirs in zip(counts, found.counts, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04nothing", b"\x93NUMPY"])
def test_damaged_maps(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "locations.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ResultsError, match=r"can't read the maps in .*locations\.npz .*run its evaluation again"):
        read_locations(file)


def test_another_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", image=np.zeros(3), patch=np.zeros(3))
    with pytest.raises(ResultsError, match="can't read the maps"):
        read_locations(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "changes",
    [
        {"counts_0": np.full((3, 4), 21)},
        {"counts_0": np.full((3, 4), -1)},
        {"counts_0": np.zeros((3, 4))},
        {"counts_0": np.zeros(3, dtype=int)},
        {"counts_0": np.zeros((9, 4), dtype=int)},
        {"counts_0": np.array([["a"]])},
        {"n": -1},
        {"n": "many"},
        {"image_px": [8]},
        {"image_px": "8 8"},
        {"counts_2": np.zeros((3, 4), dtype=int)},
    ],
)
def test_maps_out_of_range(tmp_path: Path, changes: dict) -> None:
    content = {"n": 20, "image_px": (8, 8), "counts_0": np.zeros((3, 4), dtype=int), **changes}
    np.savez_compressed(tmp_path / "locations.npz", **content)
    with pytest.raises(ResultsError, match="can't read the maps"):
        read_locations(tmp_path / "locations.npz")


def test_a_file_with_a_changed_byte_is_read_or_refused(tmp_path: Path) -> None:
    file = write_locations(tmp_path / "locations.npz", Locations((np.arange(12).reshape(3, 4),), 20, (8, 8)))
    content = file.read_bytes()
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with contextlib.suppress(ResultsError):
            read_locations(file)
