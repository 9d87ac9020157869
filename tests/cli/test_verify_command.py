"""``mrcert verify`` from end to end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
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
