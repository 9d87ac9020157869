import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY

from benchmarks import Machine
from benchmarks.labelling import main

Command = Callable[..., None]
BENCH = [*TINY, "patch=32", "trainer=cpu", "images=1", "rounds=1", "sample=2", "train_batch=2"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run ``python -m benchmarks.labelling`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["labelling.py", *arguments])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        main()

    return run


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "peak_flops", 1e11)


def test_a_benchmark_leaves_its_rows(benchmark: Command, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark(*BENCH)
    output = capsys.readouterr().out
    (file,) = Path("outputs/bench").rglob("bench.json")
    content = json.loads(file.read_text())
    methods = [row["method"] for row in content["rows"]]
    assert methods[:4] == ["as published", "full forward per tuple", "distinct unions", "engine, all mutants"]
    assert content["rows"][0]["faster"] == 1
    assert not any(":" in method for method in methods), "random weights say nothing of laziness"
    assert {row["part"] for row in content["rows"]} == {"labels of mutants", "gradients"}
    assert all(method in output for method in methods)
    assert content["mutants"]["sizes"]["unions"] == 439
    assert content["peak_gflops"] == 100
    assert file.with_name("bench.png").read_bytes().startswith(b"\x89PNG")


def test_trained_weights_are_lazy_too(command: Command, benchmark: Command) -> None:
    command("train", *TINY, "patch=32", "trainer=cpu", "dataset.limit=8", "recipe.batch_size=8", "trainer.max_epochs=1")
    checkpoint = "checkpoint=checkpoints/digits/vit_srf_p32/best.ckpt"
    benchmark(*BENCH, checkpoint, "defenders=[mrcert_cascade]", "train_batch=0")
    (file,) = Path("outputs/bench").rglob("bench.json")
    methods = [row["method"] for row in json.loads(file.read_text())["rows"]]
    assert methods[4:] == [f"mrcert_cascade: {output}" for output in ("label", "certificate", "round trip")]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("defenders=[mrcrt]", "unknown defender 'mrcrt'; choose one of: hicert, mrcert, mrcert_cascade"),
        ("defenders=[mrcert,vot]", "vot cannot be timed: a vote hides no masks"),
        ("images=0", "at least one image"),
        ("train_batch=-1", "train_batch=0 leaves training"),
        ("checkpoint=nothing.ckpt", "there is no checkpoint nothing.ckpt"),
    ],
)
def test_bad_settings(benchmark: Command, capsys: pytest.CaptureFixture[str], override: str, message: str) -> None:
    with pytest.raises(SystemExit):
        benchmark(*BENCH, override)
    assert message in capsys.readouterr().err


def test_votes_have_nothing_to_time(benchmark: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark("model=column_vit", "trainer=cpu")
    assert "votes instead of hiding masks" in capsys.readouterr().err
