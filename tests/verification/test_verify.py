"""``mrcert verify`` from end to end: right results pass, and whatever has been changed is found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tiny import TINY

from mrcert_pl.mutants import TableStore, stored_header
from mrcert_pl.results import read_verdicts, write_verdicts

EVAL = [*TINY, "patch=32", "trainer=cpu", "dataset.limit=6"]
Command = Callable[..., None]


@pytest.fixture
def evaluated(command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Weights that nobody has trained, and their folder as the default of ``checkpoint=``."""
    command("train", *TINY, "patch=32", "trainer=cpu", "dataset.limit=8", "recipe.batch_size=8", "trainer.max_epochs=1")
    return command


def runs() -> list[Path]:
    return sorted(Path("outputs/eval").rglob("results.json"))


def test_all_defenders_pass(evaluated: Command, capsys: pytest.CaptureFixture[str]) -> None:
    defenders = "defender=undefended,patchcure,mrcert,mrcert_sharp,mrcert_cascade"
    evaluated("eval", "-m", *EVAL, defenders)
    evaluated("eval", *EVAL, "defender=mrcert_sharp", "evaluate=lazy")
    capsys.readouterr()
    evaluated("verify", "outputs")
    output = capsys.readouterr().out
    assert output.count("all verdicts are right") == 6
    assert output.count("6 images") == 6


def test_a_table_that_lacks_what_a_verdict_needs_fails(evaluated: Command, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated("eval", *EVAL, "defender=mrcert_cascade")
    (shard,) = Path("outputs/eval").rglob("mutants/*.parquet")
    table = pq.read_table(shard)
    rows = [row | {"labels": [*row["labels"][:40], *[-1] * (len(row["labels"]) - 40)]} for row in table.to_pylist()]
    pq.write_table(table.from_pylist(rows, schema=table.schema), shard)
    with pytest.raises(SystemExit):
        evaluated("verify", "outputs")
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize("column", ["prediction", "certified", "case", "witness", "certified_patches", "safe_masks"])
def test_a_changed_verdict_is_found(evaluated: Command, capsys: pytest.CaptureFixture[str], column: str) -> None:
    evaluated("eval", *EVAL, "defender=mrcert_sharp")
    (result,) = runs()
    file = result.parent / "verdicts.parquet"
    rows = read_verdicts(file)
    value = getattr(rows[3], column)
    if isinstance(value, tuple):
        changed: object = (not value[0], *value[1:])
    else:
        changed = not value if isinstance(value, bool) else value + 1
    write_verdicts(file, [*rows[:3], replace(rows[3], **{column: changed}), *rows[4:]])
    with pytest.raises(SystemExit) as stopped:
        evaluated("verify", str(result.parent))
    assert stopped.value.code == 1
    output = capsys.readouterr()
    assert f"image {rows[3]['id']}: {column} is {changed}, and should be {value}" in output.out
    assert "do not follow from the tables" in output.err


def test_a_changed_count_is_found(evaluated: Command, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated("eval", *EVAL, "defender=patchcure")
    (result,) = runs()
    content = json.loads(result.read_text())
    content["accuracy"]["certified"]["count"] += 1
    result.write_text(json.dumps(content))
    with pytest.raises(SystemExit):
        evaluated("verify", str(result))
    assert "results.json: certified is" in capsys.readouterr().out


def test_unfit_tables_are_an_error(evaluated: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    evaluated("eval", *EVAL, "defender=patchcure")
    (result,) = runs()
    mutants = result.parent / "mutants"
    mutants.rename(tmp_path / "elsewhere")
    evaluated("verify", str(result), "--tables", str(tmp_path / "elsewhere"))

    def failed(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            evaluated("verify", str(result), *arguments)
        return capsys.readouterr().err

    assert "there are no tables of mutants in" in failed()
    header = {**stored_header(tmp_path / "elsewhere"), "weights_sha256": "other"}
    other = TableStore(tmp_path / "other", header)
    other._rows = [{"id": 0, "path": "", "label": 0, "image": "", "labels": [0], "margins": [0.0]}]
    other.flush()
    assert "other weights" in failed("--tables", str(tmp_path / "other"))
    torch.save({}, tmp_path / "other" / "000000_0000.parquet")
    assert "damaged" in failed("--tables", str(tmp_path / "other"))
