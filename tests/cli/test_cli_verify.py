"""``mrcert verify`` from end to end."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from result_files import evaluation, row
from tiny import TINY

from mrcert_pl.mutants.shards import read_shard

EVAL = [*TINY, "patch=32", "trainer=cpu", "dataset.limit=6"]


def test_honest_evaluations_agree_and_a_changed_count_does_not(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("train", *TINY, "patch=32", "trainer=cpu", "dataset.limit=8", "recipe.batch_size=8", "trainer.max_epochs=1")
    command("eval", "-m", *EVAL, "defender=undefended,patchcure,mrcert,mrcert_sharp,mrcert_cascade")
    command("eval", *EVAL, "defender=mrcert_sharp", "evaluate=lazy")
    folder = next(Path("outputs/eval").rglob("*_4/mutants"))
    command("eval", *EVAL, "defender=mrcert_sharp", f"table={folder}")
    capsys.readouterr()
    command("verify", "outputs")
    output = capsys.readouterr().out
    assert output.count("all values agree with the tables") == 7
    assert output.count("6 images") == 7
    header, _ = read_shard(next(folder.glob("*.parquet")))
    assert header["names"] == {"dataset": "digits", "model": "vit_srf"}

    result = folder.parent / "results.json"
    content = json.loads(result.read_text())
    accuracy = content["accuracy"]["certified"]
    accuracy["count"] = (accuracy["count"] + 1) % 6
    accuracy["measured"] = accuracy["count"] / 6
    result.write_text(json.dumps(content))
    with pytest.raises(SystemExit) as stopped:
        command("verify", str(result.parent))
    assert stopped.value.code == 1
    output = capsys.readouterr()
    assert "results.json: accuracy.certified is" in output.out
    assert "do not follow from the tables" in output.err


def test_the_help_lists_its_options(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command("verify", "--help")
    output = capsys.readouterr().out
    assert output.startswith("usage: mrcert verify ")
    for option in ("--tables FOLDER", "--import MODULE", "runs "):
        assert option in output


def test_without_runs_the_usage_is_shown(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command("verify")
    assert "the following arguments are required: runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no nowhere; an evaluation"),
        (["."], "there are no evaluations in ."),
        (["notes.txt"], "notes.txt is no results.json"),
        (["--import", "no_such_module", "."], "there is no module no_such_module (--import no_such_module)"),
        (["--import", "mrcert_pl.no_such", "."], "there is no module mrcert_pl.no_such (--import mrcert_pl.no_such)"),
    ],
)
def test_what_is_not_there_is_named(refused: Callable[..., str], arguments: list[str], message: str) -> None:
    Path("notes.txt").write_text("")
    assert message in refused("verify", *arguments)


def test_a_module_of_a_defender_is_imported(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(".")
    Path("registers_none.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    refused("verify", "--import", "registers_none", ".")
    assert Path("imported").exists()


def test_a_defect_of_an_imported_module_keeps_its_traceback(
    command: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(".")
    Path("imports_nothing.py").write_text("import a_package_that_it_lacks\n")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_it_lacks"):
        command("verify", "--import", "imports_nothing", ".")


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "evaluation", "format": 99}'])
def test_a_damaged_result_is_named(refused: Callable[..., str], content: str) -> None:
    Path("run").mkdir()
    Path("run/results.json").write_text(content)
    assert "run/results.json" in refused("verify", "run")


def test_without_tables_nothing_is_verified(tmp_path: Path, refused: Callable[..., str]) -> None:
    evaluation(tmp_path / "run", [row(0)])
    assert "tables" in refused("verify", "run")
    assert "there are no tables of mutants in elsewhere" in refused("verify", "run", "--tables", "elsewhere")


def test_a_skipped_evaluation_is_no_success(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    evaluation(Path("run"), [row(0)], defender="mine")
    with pytest.raises(SystemExit, match="1"):
        command("verify", "run")
    output = capsys.readouterr()
    assert "skipped, mine has no second implementation here" in " ".join(output.out.split())
    assert output.err.endswith("error: 1 evaluation was not verified\n")


def test_errors_do_not_control_the_terminal(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    evaluation(Path("run"), [row(0)], defender="mrcert", table="\r\x1b[2Kall values agree\x1b[8m")
    with pytest.raises(SystemExit, match="1"):
        command("verify", "run")
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "\\x1b[2Kall values agree" in error


def test_a_pipe_is_no_result(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    os.mkfifo("run/results.json")
    with pytest.raises(SystemExit, match="1"):
        command("verify", "run")
    assert "there are no evaluations in run" in capsys.readouterr().err
