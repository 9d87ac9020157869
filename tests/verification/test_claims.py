"""Claims and evidence: files are read whole, and every malformed value is refused by name."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import BORDERS, CLASSES, evaluation, mutants_of, read_rows

from mrcert_pl.errors import ResultsError
from mrcert_pl.mutants import TableStore
from mrcert_pl.mutants.shards import FORMAT, Row, write_shard
from mrcert_pl.verification.claims import Claim, Evidence, shapes_px

UNIONS = {"windows": 6, "masks": ["3", "6", "30"]}
VOTES = {"ablations": "column", "width": 2, "stride": 1, "votes": 24, "image_px": [8, 24]}
HEADER = {
    "format": FORMAT,
    "dataset": "digits",
    "model": {"model": "ViTSRF", "config": {"num_classes": CLASSES}},
    "weights_sha256": "ab" * 32,
    "precision": "32-true",
    "mutants": UNIONS,
}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluation(tmp_path_factory.mktemp("honest") / "run")


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy of an evaluation, to be changed."""
    return Path(shutil.copytree(honest, tmp_path / "run"))


def table(image_id: int, *labels: int) -> Row:
    """The stored table of an image; labels of -1 are missing."""
    margins = np.where(np.array(labels) < 0, np.nan, 1.0).astype(np.float16)
    return Row(
        image_id, f"{image_id}.png", 0, "", np.array(labels, dtype=np.int16), margins, margins.astype(np.float32)
    )


def evidence(**header: Any) -> Evidence:
    """Evidence with another header."""
    return Evidence(Path("tables"), {**HEADER, **header}, {})


class TestClaim:
    def test_all_files_of_a_run(self, honest: Path) -> None:
        claim = Claim.read(honest)
        assert (claim.folder, claim.result.defender, claim.result.n) == (honest, "mrcert_sharp", 12)
        expected = read_rows(honest / "verdicts.parquet")
        assert [(row.id, row.prediction) for row in claim.rows] == [(row["id"], row["prediction"]) for row in expected]
        assert claim.maps is not None
        assert set(claim.maps) == {"n", "image_px", "counts_0"}
        assert claim.maps["counts_0"].shape == (1, 41)

    def test_maps_are_optional(self, run: Path) -> None:
        (run / "locations.npz").unlink()
        assert Claim.read(run).maps is None

    @pytest.mark.parametrize("file", ["results.json", "verdicts.parquet"])
    def test_the_other_files_are_not(self, run: Path, file: str) -> None:
        (run / file).unlink()
        with pytest.raises(ResultsError, match=file):
            Claim.read(run)

    @pytest.mark.parametrize("file", ["results.json", "verdicts.parquet", "locations.npz"])
    def test_pipes_are_not_waited_for(self, run: Path, file: str) -> None:
        (run / file).unlink()
        os.mkfifo(run / file)
        with pytest.raises(ResultsError, match=f"{file} is no regular file"):
            Claim.read(run)
        os.mkfifo(run / "mutants" / "pipe.parquet")
        assert Evidence.read(run / "mutants").index

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04nothing", b"\x93NUMPY", b"text"])
    def test_damaged_maps(self, run: Path, content: bytes) -> None:
        (run / "locations.npz").write_bytes(content)
        with pytest.raises(ResultsError, match=r"can't read the maps in .*locations\.npz .*run its evaluation again"):
            Claim.read(run)

    @pytest.mark.parametrize("array", [np.zeros(3), np.array(["a"]), np.array([True])])
    def test_maps_hold_integers(self, run: Path, array: np.ndarray) -> None:
        np.savez(run / "locations.npz", counts_0=array)
        with pytest.raises(ResultsError, match=r"locations\.npz is malformed \(its arrays must hold integers\)"):
            Claim.read(run)

    def test_objects_in_maps_are_not_unpickled(self, run: Path) -> None:
        np.savez(run / "locations.npz", counts_0=np.array([{}], dtype=object))
        with pytest.raises(ResultsError, match="can't read the maps"):
            Claim.read(run)


class TestStore:
    def test_every_image_is_found_in_its_shard(self, honest: Path) -> None:
        found = Evidence.read(honest / "mutants")
        assert sorted(found.index) == list(range(10, 22))
        by_shard = found.by_shard()
        assert sorted(len(ids) for ids in by_shard.values()) == [2, 5, 5]
        for shard, ids in by_shard.items():
            assert [row.id for row in found.rows(shard, ids[::-1])] == ids[::-1]
        assert found.mutants() == mutants_of("mrcert_sharp").identity()
        assert found.borders() == [list(axis) for axis in BORDERS]

    def test_the_fullest_table_of_an_image_counts(self, tmp_path: Path) -> None:
        write_shard(tmp_path / "a.parquet", HEADER, [table(1, 0, 1, -1), table(2, 0, -1, -1)])
        write_shard(tmp_path / "b.parquet", HEADER, [table(2, 0, 1, 2), table(1, 0, -1, -1)])
        found = Evidence.read(tmp_path)
        assert found.index == {1: (tmp_path / "a.parquet", 0, 2), 2: (tmp_path / "b.parquet", 0, 3)}
        assert found.by_shard() == {tmp_path / "a.parquet": [1], tmp_path / "b.parquet": [2]}

    def test_of_equally_full_tables_the_one_of_the_store_counts(self, tmp_path: Path) -> None:
        header = {**HEADER, "mutants": dict(UNIONS)}
        write_shard(tmp_path / "a.parquet", header, [table(1, 0, 1), table(2, 0, 1)])
        write_shard(tmp_path / "b.parquet", header, [table(2, 0, 2), table(1, 0, 2)])
        store = TableStore(tmp_path, header)
        found = Evidence.read(tmp_path)
        for shard, ids in found.by_shard().items():
            for row in found.rows(shard, ids):
                np.testing.assert_array_equal(row.labels, store._row(row.id).labels)
        assert sorted(found.index) == store.ids() == [1, 2]

    def test_unfinished_files_are_no_tables(self, tmp_path: Path) -> None:
        (tmp_path / ".a.parquet").touch()
        with pytest.raises(ResultsError, match=r"there are no tables of mutants in .*; name the store= .* --tables"):
            Evidence.read(tmp_path)

    def test_shards_of_other_evaluations(self, tmp_path: Path) -> None:
        write_shard(tmp_path / "a.parquet", HEADER, [table(1, 0)])
        write_shard(tmp_path / "b.parquet", {**HEADER, "dataset": "other"}, [table(2, 0)])
        with pytest.raises(ResultsError, match=r"b\.parquet was made by something else than .*a\.parquet"):
            Evidence.read(tmp_path)

    def test_a_damaged_shard(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"PAR1")
        with pytest.raises(ResultsError, match=r"a\.parquet is damaged"):
            Evidence.read(tmp_path)


class TestHeader:
    def test_mutants(self) -> None:
        assert evidence().mutants() == UNIONS
        for kind in ("row", "column", "both", "block"):
            assert evidence(mutants={**VOTES, "ablations": kind}).mutants()["ablations"] == kind

    @pytest.mark.parametrize("mutants", [None, [], {}, {"masks": ["3"]}])
    def test_mutants_of_no_kind(self, mutants: Any) -> None:
        with pytest.raises(ResultsError, match=r"tables in tables have a malformed header \(mutants"):
            evidence(mutants=mutants).mutants()

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            *(({"windows": windows}, "mutants") for windows in (None, 0, -1, 2**20 + 1, 6.0, True, "6")),
            *(({"masks": masks}, "mutants") for masks in (None, [], "3", {"3": 1})),
            *(({"masks": ["3", mask]}, "mutants.masks") for mask in (3, None, "", "0", "-1", "40", "x", "3 3")),
        ],
    )
    def test_malformed_masks(self, changed: dict[str, Any], field: str) -> None:
        with pytest.raises(ResultsError, match=rf"malformed header \({field}\); run its evaluation again"):
            evidence(mutants={**UNIONS, **changed}).mutants()

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            *(({name: 0}, "mutants") for name in ("width", "stride", "votes")),
            *(({name: None}, "mutants") for name in ("width", "stride", "votes")),
            *(({"width": width}, "mutants") for width in (2.0, True, "2", 2**20 + 1)),
            *(({"image_px": px}, "mutants.image_px") for px in (None, 8, [8], [8, 8, 8])),
            *(({"image_px": px}, "mutants") for px in ([8, 0], [8, 8.0], [8, None])),
            *(({"ablations": kind}, "mutants.ablations") for kind in (None, "", "diagonal", 1)),
        ],
    )
    def test_malformed_ablations(self, changed: dict[str, Any], field: str) -> None:
        with pytest.raises(ResultsError, match=rf"malformed header \({field}\); run its evaluation again"):
            evidence(mutants={**VOTES, **changed}).mutants()

    def test_the_largest_and_the_smallest_numbers_of_windows(self) -> None:
        assert evidence(mutants={"windows": 1, "masks": ["1"]}).mutants()["windows"] == 1
        assert evidence(mutants={"windows": 2**20, "masks": ["1"]}).mutants()["windows"] == 2**20

    def test_coarser_masks(self) -> None:
        refined = {**UNIONS, "coarser": [["f", "3f"], ["1"]], "threshold": 0.5}
        assert evidence(mutants=refined).mutants() == refined

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            *(({"coarser": masks}, "mutants.coarser") for masks in (None, [], "f", {"f": 1}, [[]], [["f"], []], ["f"])),
            *(({"coarser": [["f"], ["f", mask]]}, "mutants.coarser") for mask in (3, None, "", "0", "-1", "40", "x")),
            *(({"threshold": value}, "mutants.threshold") for value in (None, 0.0, 1.0, -0.5, 1, True, "0.5")),
        ],
    )
    def test_malformed_coarser_masks(self, changed: dict[str, Any], field: str) -> None:
        refined = {**UNIONS, "coarser": [["f"]], "threshold": 0.5, **changed}
        with pytest.raises(ResultsError, match=rf"malformed header \({field}\); run its evaluation again"):
            evidence(mutants=refined).mutants()

    def test_enumerations_are_bounded(self) -> None:
        """What a small file can state would take gigabytes."""
        many = {"windows": 2**20, "masks": ["1"] * 65}
        with pytest.raises(ResultsError, match=r"malformed header \(mutants\.masks\)"):
            evidence(mutants=many).mutants()
        assert evidence(mutants={**many, "masks": ["1"] * 64}).mutants()
        with pytest.raises(ResultsError, match=r"malformed header \(borders\)"):
            evidence(mutants={"windows": 1, "masks": ["1"]}, borders=[[0, 2**26 + 1], [0, 1]]).borders()

    def test_images_of_up_to_a_billion_pixels_have_borders(self) -> None:
        def borders(height: int, width: int) -> list[list[int]] | None:
            return evidence(borders=[[0, 1, height], [0, 1, 2, width]]).borders()

        assert borders(31250, 32000) == [[0, 1, 31250], [0, 1, 2, 32000]]
        # 7 times 142857143 px is one more than a billion.
        with pytest.raises(ResultsError, match=r"malformed header \(borders\)"):
            borders(7, 142_857_143)

    def test_borders(self) -> None:
        assert evidence().borders() is None
        assert evidence(borders=[[0, 4, 6], [0, 2, 4, 9]]).borders() == [[0, 4, 6], [0, 2, 4, 9]]

    @pytest.mark.parametrize(
        "borders",
        [
            7,
            [],
            [[0, 4, 6]],
            [[0, 4, 6], [0, 2, 4, 9], [0, 1]],
            [[0, 4, 6], [0, 2, 9]],
            [[0, 4, 6], [1, 2, 4, 9]],
            [[0, 4, 4], [0, 2, 4, 9]],
            [[0, 6, 4], [0, 2, 4, 9]],
            [[0, 4, 6], [0, 2, 4, 9.0]],
            [[False, 4, 6], [0, 2, 4, 9]],
            [[0], [0, 1, 2, 3, 4, 5, 6]],
            [[0, 4, 10**6], [0, 2, 4, 10**6]],
            ["abc", "abcd"],
        ],
        ids=str,
    )
    def test_malformed_borders(self, borders: Any) -> None:
        with pytest.raises(ResultsError, match=r"malformed header \(borders\); run its evaluation again"):
            evidence(borders=borders).borders()

    def test_ablations_have_no_borders(self) -> None:
        with pytest.raises(ResultsError, match=r"malformed header \(borders\)"):
            evidence(mutants=VOTES, borders=[[0, 8], [0, 24]]).borders()


class TestPatch:
    @pytest.mark.parametrize(
        ("patch", "shapes"), [(8, {(8, 8)}), ("2x5", {(2, 5)}), ("2x5,3x3", {(2, 5), (3, 3)}), ("8x48", {(8, 48)})]
    )
    def test_shapes(self, honest: Path, patch: Any, shapes: set[tuple[int, int]]) -> None:
        assert set(shapes_px(replace(Claim.read(honest).result, patch=patch), (8, 48))) == shapes

    @pytest.mark.parametrize("patch", [0, -1, 9, "x", "9x9", "", (), "1e9x1", "100000000%"])
    def test_what_is_none(self, honest: Path, patch: Any) -> None:
        result = replace(Claim.read(honest).result, patch=patch)
        with pytest.raises(ResultsError, match=r"the result states the patch .*, which is none: "):
            shapes_px(result, (8, 48))


def test_a_mask_of_the_first_window_is_one(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", {**HEADER, "mutants": {"windows": 6, "masks": ["1", "3e"]}}, [table(1, 0, 0)])
    assert Evidence.read(tmp_path).mutants()["masks"] == ["1", "3e"]
