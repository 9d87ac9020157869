import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting import (
    VerdictWriter,
    find_results,
    merge_verdicts,
    read_results,
    read_verdicts,
    show,
    verdict_column,
    write_results,
    write_verdicts,
)

COUNTS = {"base": 9, "clean": 8, "certified": 5, "round_trip": 1, "n": 10}
FACTS = {"dataset": "digits", "model": "vit_srf", "patch": 16, "round_trip_note": None}
ROW = {"id": 3, "path": "digits/3", "label": 1, "base_prediction": 1, "prediction": 2, "case": 4, "witness": -1}
ROW |= {"certified": False, "round_trip": False, "mutants_evaluated": 439}


def result(path: Path, defender: str = "mrcert", reported: dict | None = None, **facts: object) -> Path:
    return write_results(path, COUNTS, reported or {}, **{**FACTS, "defender": defender, **facts})


def test_results_hold_counts_shares_and_published_figures(tmp_path: Path) -> None:
    content = read_results(result(tmp_path / "a" / "results.json", reported={"certified": 0.6}))
    assert content["n"] == 10
    assert content["accuracy"]["certified"] == {"count": 5, "n": 10, "measured": 0.5, "reported": 0.6}
    assert content["accuracy"]["base"]["reported"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0, "accuracy": {}}', '{"format": 1}'])
def test_a_damaged_result_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(ResultsError, match=r"results\.json .*run its evaluation again"):
        read_results(file)


def test_missing_results(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="can't read"):
        read_results(tmp_path / "results.json")
    with pytest.raises(ResultsError, match="there are no results"):
        find_results([tmp_path])
    with pytest.raises(ResultsError, match=r"there is no .*nowhere"):
        find_results([tmp_path / "nowhere"])


def test_results_are_found_below_folders_once_and_in_order(tmp_path: Path) -> None:
    files = [result(tmp_path / name / "results.json") for name in ("b", "a")]
    assert find_results([tmp_path, files[0]]) == files


def test_a_result_is_whole_or_not_there(tmp_path: Path) -> None:
    file = result(tmp_path / "results.json")
    before = file.read_text()
    with pytest.raises(TypeError):
        result(file, config=object())
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"can't write .*choose another paths\.output_dir"):
        result(tmp_path / "file" / "results.json")


def test_the_table_groups_by_images_and_shows_counts_notes_and_published_figures(tmp_path: Path) -> None:
    files = [
        result(tmp_path / "1.json", "patchcure", round_trip_note="none can be promised"),
        result(tmp_path / "2.json", "mrcert", {"certified": 0.6}, mutants_per_image=312.4),
        result(tmp_path / "3.json", "mrcert", patch="16x48"),
    ]
    console = Console(width=80, file=io.StringIO())
    show([read_results(file) for file in files], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("digits, vit_srf, patch 16 px, 10 images") == 1
    assert "digits, vit_srf, patch 16x48, 10 images" in text
    assert "50.0 (5) [60.0]" in text
    assert "patchcure, round trip: none can be promised" in text
    assert "published figure" in text
    mrcert, patchcure = (
        next(row for row in text.split("\n") if f"  {name} " in row) for name in ("mrcert", "patchcure")
    )
    assert mrcert.split()[-1] == "312"
    assert patchcure.split()[-1] == "n/a"
    assert json.loads(files[0].read_text())["defender"] == "patchcure"


def test_attacked_images_have_one_more_column_with_its_own_denominator(tmp_path: Path) -> None:
    attacked = {**COUNTS, "base": 4, "adversarial_certified": 3}
    harmless = {**COUNTS, "base": 10, "adversarial_certified": 0}
    files = [
        write_results(tmp_path / f"{name}.json", counts, {}, **FACTS, defender=name)
        for name, counts in (("hit", attacked), ("missed", harmless))
    ]
    accuracy = [read_results(file)["accuracy"]["adversarial_certified"] for file in files]
    assert accuracy[0] == {"count": 3, "n": 6, "measured": 0.5, "reported": None}
    assert accuracy[1] == {"count": 0, "n": 0, "measured": None, "reported": None}
    console = Console(width=100, file=io.StringIO())
    show([read_results(file) for file in files], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "50.0 (3/6)" in text
    assert next(line for line in text.splitlines() if "missed" in line).strip().endswith("n/a")
    assert "adv. certified" in text
    show([read_results(result(tmp_path / "clean.json"))], plain := Console(width=100, file=io.StringIO()))
    assert "adv." not in plain.file.getvalue()  # type: ignore[attr-defined]


def test_verdict_rows_come_back(tmp_path: Path) -> None:
    file = write_verdicts(tmp_path / "verdicts.parquet", [ROW, {**ROW, "id": 4, "certified_patches": 2}])
    first, second = read_verdicts(file)
    assert {name: first[name] for name in ROW} == ROW
    assert {first[name] for name in first.keys() - ROW.keys()} == {None}
    assert second["certified_patches"] == 2


def test_verdicts_of_several_processes_become_one_file(tmp_path: Path) -> None:
    parts = [tmp_path / f"{rank}.parquet" for rank in range(3)]
    for rank, part in enumerate(parts):
        with VerdictWriter(part) as writer:
            for batch in range(5000 if rank else 0, 0, -2):
                writer.add([{**ROW, "id": 2 * key + rank - 1} for key in (batch, batch - 1)])
    assert pq.ParquetFile(parts[1]).num_row_groups > 1
    with pytest.raises(
        ResultsError, match=r"elsewhere\.parquet; paths.output_dir must be a folder that all machines see"
    ):
        merge_verdicts([*parts, tmp_path / "elsewhere.parquet"], tmp_path / "verdicts.parquet")
    file = merge_verdicts(parts, tmp_path / "verdicts.parquet")
    assert verdict_column(file, "id") == list(range(2, 10002))
    assert list(tmp_path.iterdir()) == [file]
    assert {name: read_verdicts(file)[77][name] for name in ROW} == {**ROW, "id": 79}


def test_damaged_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.parquet"
    with pytest.raises(ResultsError, match="can't read the verdicts"):
        read_verdicts(file)
    file.write_bytes(b"PAR1 nothing")
    with pytest.raises(ResultsError, match="can't read the verdicts"):
        read_verdicts(file)
