"""Cases, locations and examples on the page."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from result_files import evaluation, row

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import Locations, write_locations
from mrcert_pl.views.page.verdicts import case_section, example_section, location_section


def test_cases_count_certified_images() -> None:
    several = [row(0, case=1, certified=True), row(1, case=1), row(2, case=4), row(3, prediction=2, certified=True)]
    section = case_section({"<a>": several, "single": [row(0, case=2)], "b": [row(0, case=2), row(1, case=4)]})
    assert section is not None
    (table,) = section.tables
    assert table.header == ["evaluation", "Case 1", "Case 2", "Case 4"]
    # A certified wrong label isn't counted as certified.
    assert table.rows == [["<a>", "3 (1)", "0", "1 (0)"], ["b", "0", "1 (0)", "1 (0)"]]
    assert "single" not in section.images[0].alt


def test_one_case_is_no_table() -> None:
    assert case_section({"a": [row(0), row(1)]}) is None
    assert case_section({}) is None


def test_maps_of_the_same_images_have_one_scale(tmp_path: Path) -> None:
    runs = {name: evaluation(tmp_path / name, [row(0)]) for name in "abc"}
    assert location_section(runs) is None
    for name, count in (("a", 2), ("c", 9)):
        maps = (np.full((15, 15), count), np.full((13, 13), count))
        write_locations(runs[name].folder / "locations.npz", Locations(maps, 10, (16, 16)))
    section = location_section(runs)
    assert section is not None
    assert [image.caption.split(":")[0] for image in section.images] == ["a", "a", "c", "c"]
    assert section.size == "small"


def test_a_damaged_map_is_named(tmp_path: Path) -> None:
    run = evaluation(tmp_path, [row(0)])
    (tmp_path / "locations.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ResultsError, match=r"can't read the maps in .*locations\.npz.*run its evaluation again"):
        location_section({"a": run})


def test_examples_are_of_every_kind_and_few(tmp_path: Path) -> None:
    rows = [row(image_id, certified=image_id < 20) for image_id in range(30)]
    rows[29] = replace(rows[29], certified_fraction=0.25)
    run = evaluation(tmp_path, rows)
    assert example_section({"a": run}, {"a": rows}) is None
    (tmp_path / "examples").mkdir()
    for image_id in range(30):
        (tmp_path / "examples" / f"{image_id}.png").write_bytes(b"%d" % image_id)
    for name in ("../x", "notes", "1.5"):
        (tmp_path / "examples" / f"{Path(name).name}.png").write_bytes(b"")
    section = example_section({"<a>": run}, {"<a>": rows})
    assert section is not None
    assert len(section.images) == 24
    assert section.text[-1] == "24 of 30 images; the others lie in the folder of each run."
    first, second = section.images[:2]
    assert first.caption == "<a>, image 0: certified, Case 1"
    assert second.caption == "<a>, image 20: correct, not certified, Case 1"
    assert base64.b64decode(second.source.split(",")[1]) == b"20"
    last = next(image for image in section.images if "image 29" in image.caption)
    assert last.caption.endswith("Case 1, safe at 25% of the locations")
    section = example_section({"a": run}, {"a": [replace(rows[0], certified_fraction=0.9999)]})
    assert section is not None
    assert section.images[0].caption.endswith("safe at 99% of the locations")
