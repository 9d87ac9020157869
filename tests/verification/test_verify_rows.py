"""Verification of verdicts.parquet: every forged value, missing and repeated images, tables with missing entries."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import evaluation, found, mutants_of, read_rows, rewrite, write_rows

from mrcert_pl.verification import verify
from mrcert_pl.verification.rows import _claims_less


@pytest.mark.parametrize("name", ["mrcert_sharp", "mrcert", "patchcure", "vot", "hicert"])
def test_every_changed_value_of_the_verdicts_is_found(tmp_path: Path, name: str) -> None:
    run = evaluation(tmp_path / "run", name)
    rows, draws = read_rows(run / "verdicts.parquet"), np.random.default_rng(0)
    for column, value in rows[0].items():
        number = int(draws.integers(len(rows)))
        value = rows[number][column]
        if isinstance(value, list):
            changed = [[not value[0], *value[1:]], value[:-1], None]
        elif isinstance(value, bool):
            changed = [not value, None]
        elif isinstance(value, (int, float)):
            changed = [value + 1, value - 1, None]
        elif value is None:
            changed = [[True]] if column == "safe_masks" else [1]
        else:
            changed = [value + "x", None]
        for other in changed:
            write_rows(
                run / "verdicts.parquet", [r | ({column: other} if i == number else {}) for i, r in enumerate(rows)]
            )
            assert found(run), (column, value, other)
    write_rows(run / "verdicts.parquet", rows)
    assert not found(run)


def test_removed_and_repeated_rows_are_found(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    write_rows(run / "verdicts.parquet", rows[1:])
    assert "10 number of rows" in found(run)

    # With all counts made to fit, an image that was misclassified is dropped.
    def fewer(content: dict[str, Any]) -> None:
        content["n"] = 11
        for accuracy in content["accuracy"].values():
            accuracy["count"], accuracy["n"] = min(accuracy["count"], 11), 11
            accuracy["measured"] = accuracy["count"] / 11

    honest = (run / "results.json").read_text()
    rewrite(run, fewer)
    assert "10 number of rows" in found(run)
    (run / "results.json").write_text(honest)
    write_rows(run / "verdicts.parquet", [*rows, rows[3]])
    assert "id: an image is repeated" in found(run)
    write_rows(run / "verdicts.parquet", [*rows, rows[3] | {"id": 99}])
    assert "there are tables of 12 of the 13 images" in found(run)


def test_an_evaluation_of_fewer_images_says_so_in_its_configuration(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    kept = [row for row in rows if row["id"] != 15]
    write_rows(run / "verdicts.parquet", kept)

    def limited(content: dict[str, Any]) -> None:
        content["config"]["dataset"]["limit"] = 11

    rewrite(run, limited)
    assert "n" in found(run).split()
    assert "number of rows" not in found(run)


def test_labels_replaced_by_predictions_are_found(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    write_rows(run / "verdicts.parquet", [row | {"label": row["prediction"]} for row in rows])
    assert " label" in found(run)


def test_labels_of_the_data_set_decide(run: Path) -> None:
    truth = {row["id"]: row["label"] for row in read_rows(run / "verdicts.parquet")}
    assert "12 label (data set)" in found(run, labels={**truth, 12: truth[12] + 1})
    assert "99 number of rows" in found(run, labels={**truth, 99: 0})
    assert "label (data set)" in found(run, labels=lambda image_id: None)


def test_an_image_without_a_verdict_is_counted_against_one_row(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    write_rows(run / "verdicts.parquet", rows[1:])
    (missing,) = (d for d in verify(run).differences if d.field == "number of rows")
    assert (missing.image_id, missing.written, missing.computed) == (rows[0]["id"], 0, 1)


def test_tables_with_any_missing_entry_are_completed(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "run", "mrcert_sharp", lazily=True)
    partly = [row["mutants_evaluated"] < len(mutants_of("mrcert_sharp")) for row in read_rows(run / "verdicts.parquet")]
    assert verify(run).completed == sum(partly) > 0


@pytest.mark.parametrize("lazily", [False, True])
def test_the_number_of_mutants_is_compared_for_each_image(tmp_path: Path, lazily: bool) -> None:
    """The mean stays as it is; of a lazy evaluation the tables may hold more than it has evaluated, never less."""
    run = evaluation(tmp_path / "run", "mrcert_sharp", lazily=lazily)
    rows = read_rows(run / "verdicts.parquet")
    rows[0]["mutants_evaluated"] += 1
    rows[1]["mutants_evaluated"] -= 1
    write_rows(run / "verdicts.parquet", rows)
    more, less = f"{rows[0]['id']} mutants_evaluated", f"{rows[1]['id']} mutants_evaluated"
    assert found(run) == (more if lazily else f"{more}, {less}")
    rows[0]["mutants_evaluated"] += rows[1]["mutants_evaluated"] - 1
    rows[1]["mutants_evaluated"] = 0
    rows[2]["mutants_evaluated"] += 1
    write_rows(run / "verdicts.parquet", rows)
    assert less in found(run)


@pytest.mark.parametrize(
    ("stated", "computed", "less"),
    [
        (False, True, True),
        (True, True, True),
        (True, False, False),
        (1, 2, True),
        (2, 1, False),
        (True, 2, False),
        (0, True, False),
        ("0", "1", False),
        (None, 1, False),
        ([True, False], [True, True], True),
        ([False, True], [True, False], False),
        ([False], [True, True], False),
        ([False], True, False),
    ],
)
def test_what_claims_less(stated: Any, computed: Any, less: bool) -> None:
    assert _claims_less(stated, computed) == less
