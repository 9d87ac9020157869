"""The commands for a vote, on a model of a few thousand weights and a few images."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from plain_results import read_results, read_verdicts

SMALL = ["model.backbone_args={embed_dim: 16, depth: 1, num_heads: 2}", "patch=32", "trainer=cpu"]
TRAIN = ["train", "model=column_vit", *SMALL, "dataset.limit=16", "recipe.batch_size=8", "trainer.max_epochs=1"]
TRAIN += ["callbacks.mutant_predictions.images=2"]
EVAL = ["eval", *SMALL, "dataset.limit=3"]
CHECKPOINT = Path("checkpoints/digits/column_vit_p32/best.ckpt")

Command = Callable[..., None]


def failure(command: Command, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        command(*arguments)
    assert stopped.value.code == 1
    return capsys.readouterr().err


def test_train_then_vote(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither command is told the defender and the model both."""
    command(*TRAIN)
    output = capsys.readouterr().out
    assert "mrcert eval dataset=digits model=column_vit patch=32" in output
    assert output.strip().endswith("defender=vot")
    (run,) = Path("outputs/train/digits/column_vit_p32").iterdir()
    header = (run / "csv" / "metrics.csv").read_text().split("\n")[0].split(",")
    # The vote's accuracy (clean) is one column, that of the unablated image (base) another.
    assert {f"val/{name}_accuracy" for name in ("base", "clean", "certified", "round_trip")} <= {*header}

    command("eval", "-m", *EVAL[1:], "defender=vot,vot_sharp")
    command(*EVAL, "model=column_vit", "defender=undefended")
    results = {read_results(file)["defender"]: file for file in Path("outputs/eval").rglob("results.json")}
    assert set(results) == {"vot", "vot_sharp", "undefended"}
    for defender in ("vot", "vot_sharp"):
        file = results[defender]
        assert read_results(file)["mutants"]["sizes"]["delta"] == 56 + 32 - 1
        accuracy, rows = read_results(file)["accuracy"], read_verdicts(file.with_name("verdicts.parquet"))
        assert accuracy["clean"]["count"] == sum(row["prediction"] == row["label"] for row in rows)
        assert accuracy["base"]["count"] == sum(row["base_prediction"] == row["label"] for row in rows)
        assert all(113 < row["mutants_evaluated"] <= 225 for row in rows)
        alone = read_results(results["undefended"])["gflops_per_image"]
        # A band is a quarter of the image, and a column of tokens on either side.
        assert 225 * alone / 6 < read_results(file)["gflops_per_image"] < 225 * alone / 2

    # Stored in the checkpoint, so that no vote is counted by another rule than the one it was trained for.
    stored = torch.load(CHECKPOINT, weights_only=True)["mrcert"]["config"]
    assert (stored["token_mode"], stored["fill"], stored["kind"], stored["width"]) == ("drop", "black", "column", 56)
    message = failure(command, capsys, *EVAL, "defender=vot", "model.token_mode=mask")
    assert "model.token_mode: 'drop' in the checkpoint, 'mask' given" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "defender=vot", "model=vit_srf"], "AblationVote votes over ablations, and ViTSRF has none"),
        (["eval", "model=column_vit", "defender=mrcert"], "MRCert hides windows of a grid, and AblatedViT has none"),
        (["eval", "defender=vot", "defender.certificate=exact"], "no setting defender.certificate: choose a defender"),
        (["eval", "defender=vot", "model.width=300"], "from 1 to 224 px, not 300"),
        (["eval", "defender=vot_sharp", "model.kind=both"], "all pairs of the 43,681 sets"),
        (["train", "model=column_vit", "stage=split"], "give stage=one"),
    ],
)
def test_what_does_not_fit(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in failure(command, capsys, *arguments, "trainer=cpu", "dataset.limit=2")
