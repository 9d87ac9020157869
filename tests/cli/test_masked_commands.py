"""Models beside the paper's from the command line: training, evaluation, mask strides."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

from mrcert_pl.defenders import MRCert
from mrcert_pl.guard import Guard
from mrcert_pl.results import EvaluationResult
from mrcert_pl.results.schema import MutantFacts
from mrcert_pl.verification.verify import verify

Command = Callable[..., None]

TINY = ["model.backbone_args={embed_dim: 16, depth: 2, num_heads: 2}", "patch=32", "trainer=cpu"]
TRAIN = ["dataset.limit=16", "recipe.batch_size=8", "trainer.max_epochs=1", "callbacks.mutant_predictions.images=1"]


def results(model: str) -> EvaluationResult:
    (file,) = Path(f"outputs/eval/digits/{model}").rglob("results.json")
    return EvaluationResult.read(file)


def sizes(result: EvaluationResult) -> Mapping[str, int]:
    assert result.mutants is not None
    return result.mutants.sizes


def test_masked_vit_brings_its_own_stride(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("train", "model=masked_vit", *TINY, *TRAIN, "patches=1")
    assert Path("checkpoints/digits/masked_vit_p32/best.ckpt").is_file()
    assert "mrcert eval dataset=digits model=masked_vit patch=32" in capsys.readouterr().out
    command("eval", "model=masked_vit", *TINY, "dataset.limit=2", "defender=mrcert", "patches=1")
    found = results("masked_vit_p32")
    assert found.mutants == MutantFacts("unions", {"masks": 9, "unions": 46, "order": 2, "windows": 196})
    command(
        "eval", "model=masked_vit", *TINY, "dataset.limit=2", "defender=patchcure", "stride=5", "paths.output_dir=five"
    )
    (file,) = Path("five").rglob("results.json")
    assert sizes(EvaluationResult.read(file))["masks"] == 9

    # The checkpoint knows the stride and the patch: it is all that a prediction takes.
    Image.new("L", (20, 30), 90).save("photo.png")
    command("predict", "images=photo.png", "checkpoint=checkpoints/digits/masked_vit_p32/best.ckpt", "patches=1")
    (row,) = Path("outputs/predict").rglob("verdicts.jsonl")
    assert 10 <= json.loads(row.read_text())["mutants_evaluated"] <= 46
    guard = Guard.from_checkpoint("checkpoints/digits/masked_vit_p32/best.ckpt", MRCert(patches=1))
    assert MutantFacts.of(guard.evaluator.mutants.summary()) == found.mutants
    assert guard.preprocessing.resize == "whole"


def test_vit_srf_that_drops(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    drop = ["model.hidden_tokens=drop", "model.window=[2,2]", "model.split=1", "stride=2"]
    command("train", *TINY, *TRAIN, *drop, "defender=patchcure")
    command("eval", *TINY, *drop, "dataset.limit=2", "defender=patchcure")
    assert sizes(results("vit_srf_p32"))["windows"] == 49
    # What is not given is taken from the checkpoint.
    command("eval", *TINY, "stride=2", "dataset.limit=2", "defender=patchcure", "paths.output_dir=taken")
    (file,) = Path("taken").rglob("results.json")
    assert EvaluationResult.read(file).config["model"]["hidden_tokens"] == "drop"
    command(
        "eval",
        *TINY,
        "stride=2",
        "dataset.limit=2",
        "defender=patchcure",
        "model.views=flip",
        "paths.output_dir=flipped",
    )
    (flipped,) = Path("flipped").rglob("results.json")
    assert EvaluationResult.read(flipped).config["model"]["views"] == "flip"
    assert EvaluationResult.read(flipped).gflops_per_image > EvaluationResult.read(file).gflops_per_image  # type: ignore[operator]
    with pytest.raises(SystemExit):
        command("eval", *TINY, "model.hidden_tokens=zero", *drop[1:], "dataset.limit=2", "defender=patchcure")
    assert "model.hidden_tokens: 'drop' in the checkpoint, 'zero' given" in capsys.readouterr().err


def test_black_box(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    box = ["model=blackbox", "model.image_px=[32,32]", "patch=4", "trainer=cpu"]
    command("train", *box, *TRAIN)
    command("eval", *box, "dataset.limit=2")
    found = results("blackbox_p4")
    assert found.mutants == MutantFacts("unions", {"masks": 9, "unions": 46, "order": 2, "windows": 25})
    assert (found.gflops_per_image or 0) > 0
    command("eval", *box, "dataset.limit=2", "refine=2", "paths.output_dir=refined")
    (file,) = Path("refined").rglob("results.json")
    refined = EvaluationResult.read(file).mutants
    # Of all nine masks, and of the four that join two neighbours along each axis; three unions are the same.
    assert refined is not None
    assert refined.sizes == {"masks": 9, "unions": 46, "order": 2, "windows": 25, "levels": 2, "columns": 53}
    assert verify(file.parent).differences == ()
    with pytest.raises(SystemExit):
        command("eval", *box, "dataset.limit=2", "stride=3")
    assert "the nearest that works: model.masks_per_axis=3 stride=1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=masked_vit", "stride=6"], "the nearest that works: stride=4"),
        (["model.window=[14,2]", "model.split=1"], "the nearest that works: model.window=[14,1] stride=1"),
        (["model=masked_vit", "patch=112"], "no stride and no windows of vit_tiny_patch16_224 work here"),
        (["model=masked_vit", "model.backbone=vit_tiny_r_s16_p8_224"], "has no tokens that could be dropped"),
        (
            ["model=blackbox", "model.masks_per_axis=2", "defender=mrcert"],
            "the nearest that works: model.masks_per_axis=3",
        ),
    ],
)
def test_what_cannot_work_names_what_does(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("train", *(TINY[1:] if "model=blackbox" in arguments else TINY), *arguments)
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err
