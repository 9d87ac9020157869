"""``mrcert plan``, on models of a few thousand weights."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from small_checkpoint import random_checkpoint

TINY = ["model.backbone_args={embed_dim: 16, depth: 2, num_heads: 2}"]

Command = Callable[..., None]


@pytest.fixture
def plan(command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What the command prints; nothing is timed for long, and no weights are ever looked for."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("mrcert_pl.mutants.stopwatch._SECONDS", 0.0)
    monkeypatch.setattr("mrcert_pl.models.backbones.hub_weights", lambda name: pytest.fail("weights were asked for"))

    def run(*arguments: str) -> str:
        command("plan", *arguments)
        return capsys.readouterr().out

    return run


def rows_of(output: str) -> dict[str, str]:
    """The rows of the table by their first cell."""
    lines = [line.split(maxsplit=1) for line in output.splitlines() if re.match(r"\s+(\d|\[)", line)]
    return {first: " ".join(rest.split()) for first, rest in lines}


def test_strides_of_the_token_grid(plan: Callable[..., str]) -> None:
    output = plan(*TINY, "model=masked_vit", "model.pretrained=true", "patch=32", "strides=[1,3,4,5]")
    rows = rows_of(output)
    assert "stride 1: 144 masks have more than 500,000 distinct unions of order 4\n" in output
    assert rows["1"] == rows["5"] == "- - - - -"
    assert rows["3"].startswith("16 16 / 136 / 696 / 2,516 87 / 76 / 66 / 56")
    assert rows["4"].startswith("9 9 / 45 / 129 / 255 82 / 66 / 52 / 40")
    assert "stride 5: 4 masks together can hide all 196" in output
    assert "mrcert train dataset=digits model=masked_vit patch=32 " in output
    # Nothing is left behind.
    assert list(Path().iterdir()) == []


def test_budgets_choose(plan: Callable[..., str]) -> None:
    tight = [*TINY, "model=masked_vit", "patch=32", "strides=[3,4]", "budget.seconds=null"]
    for gflops, stride in (("2", 4), ("null", 3)):
        output = plan(*tight, f"budget.gflops={gflops}")
        assert output.strip().endswith(f"stride={stride}")
        assert rows_of(output)[str(stride)].endswith("best")
    output = plan(*tight, "budget.gflops=0.01")
    assert "Nothing stays within 0.01 GFLOPs per image; stride 4 takes least" in output
    assert "best" not in output


def test_windows_and_splits_of_vit_srf(plan: Callable[..., str]) -> None:
    output = plan(*TINY, "patch=32", "windows=[[14,1],[14,2],[5,1]]", "splits=[0,2]", "strides=[1]")
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for split in (0, 2):
        assert any(line.startswith(f"[14,1] {split} 1 12 12 / 78 / 247 / 438 79 / 61") for line in lines)
        assert f"[14,2] {split} 1 - - - - -" in lines
        assert f"[5,1] {split} - - - - -" in lines
        assert any(
            line.startswith(f"window [14, 2] split {split} stride 1: 4 masks together can hide") for line in lines
        )
        assert any(line.startswith(f"window [5, 1] split {split}: a window of (5, 1)") for line in lines)
    assert re.search(r"'model.window=\[14,1\]' model.split=[02] stride=1", output)


def test_one_patch_has_no_round_trip(plan: Callable[..., str]) -> None:
    output = plan(*TINY, "model=masked_vit", "patch=32", "patches=1", "strides=[2]")
    assert rows_of(output)["2"].startswith("36 36 / 666 92 / 84")
    assert "verdict / certificate while" in " ".join(output.split())


def test_masks_per_axis_of_a_black_box(plan: Callable[..., str]) -> None:
    output = plan("model=blackbox", "patch=32", "masks_per_axis=[2,3]", "budget.seconds=null")
    rows = rows_of(output)
    assert rows["2"] == "- - - - -"
    assert "masks_per_axis 2: 4 masks together can hide all 9" in output
    assert rows["3"].startswith("9 9 / 45 / 129 / 255 82 / ")
    assert "model.masks_per_axis=3" in output


def test_the_model_of_a_checkpoint(plan: Callable[..., str], tmp_path: Path) -> None:
    overrides = ["model=masked_vit", "model.pretrained=false", *TINY]
    checkpoint = random_checkpoint(tmp_path / "best.ckpt", overrides)
    given = ["patch=32", "strides=[4]", "budget.seconds=null"]
    # From the checkpoint: the kind by the command line here, the size of the model from the file.
    found = rows_of(plan(*given, f"checkpoint={checkpoint}", "model=masked_vit"))["4"].split()
    expected = rows_of(plan(*given, *overrides))["4"].split()
    assert found[:21] == expected[:21]
    with pytest.raises(SystemExit, match="1"):
        plan(*given, f"checkpoint={checkpoint}", "model=masked_vit", "model.window=[2,2]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint=nowhere.ckpt"], "there is no checkpoint nowhere.ckpt"),
        (["patch=112"], "no configuration works"),
        (["patch=0"], "at least 1 px"),
        (["patches=0"], "at least 1"),
        (["budget=3"], "budget must have names and values, such as {name: value}, got 3"),
        (["device=tpu"], "there is no device 'tpu'"),
        (["model=column_vit"], "nothing to plan"),
        (["model.window=[5,1]"], "doesn't divide the token grid"),
    ],
)
def test_bad_settings(
    plan: Callable[..., str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        plan(*TINY, *arguments)
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err
