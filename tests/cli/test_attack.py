"""Attacks from end to end, on a model of a few thousand weights."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from plain_results import read_results, read_verdicts
from small_checkpoint import CHECKPOINT, random_checkpoint
from tiny import TINY

from mrcert_pl.attacks import PatchIFGSM, Placement
from mrcert_pl.data.attacked import AttackedImages
from mrcert_pl.errors import DataError
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.models.rebuild import rebuild
from mrcert_pl.tasks.examples import _originals

Command = Callable[..., None]

ATTACK = ["attack", *TINY, "patch=32", "trainer=cpu", "images=4", "attack.starts=3", "attack.steps=2"]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_attack_then_evaluate_then_report(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    untrained(*ATTACK, "examples=2")
    output = capsys.readouterr().out
    (run,) = Path("outputs/attack/digits/vit_srf_p32").iterdir()
    assert (run / "contact_sheet.png").is_file()
    result = read_results(run / "results.json")
    before, after = (result[name]["count"] for name in ("before", "after"))
    assert result["n"] == 4
    assert result["successes"] == 4 - after
    assert re.search(
        rf"4 images, patch 32 px: base accuracy .*\({before}\) before the attack, .*\({after}\) after", output
    )

    following = re.search(r"mrcert eval (dataset=attacked \S+ defender=mrcert)", output)
    assert following is not None
    untrained("eval", *following[1].split(), "trainer=cpu")
    output = capsys.readouterr().out
    assert "digits, attacked, vit_srf, patch 32 px, 4 images" in output
    assert "adv. certified: " in output
    (file,) = Path("outputs/eval/attacked/vit_srf_p32").rglob("results.json")
    accuracy = read_results(file)["accuracy"]
    assert accuracy["base"]["count"] == after
    assert accuracy["adversarial_certified"]["n"] == 4 - after
    rows = read_verdicts(file.with_name("verdicts.parquet"))
    recovered = [r["base_prediction"] != r["label"] == r["prediction"] and r["certified"] for r in rows]
    assert accuracy["adversarial_certified"]["count"] == sum(recovered)

    table = next(Path("outputs/eval").rglob("mutants"))
    again = ["eval", "dataset=attacked", f"dataset.path={run / 'attacked'}", "paths.output_dir=again"]
    untrained(*again, f"table={table}", "defender=patchcure")
    (file,) = Path("again").rglob("results.json")
    assert read_results(file)["accuracy"]["adversarial_certified"]["n"] == 4 - after
    capsys.readouterr()
    untrained("report", "outputs")
    assert "digits, attacked, vit_srf" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1"):
        untrained("report", "outputs/attack")
    assert "there are no evaluations in outputs/attack" in capsys.readouterr().err


def test_verdicts_on_an_attacked_set_are_drawn_below_its_images(
    untrained: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """As three rows, or two where the data set that it was made from is not to be had."""
    untrained(*ATTACK, "store=here")
    evaluate = ["eval", "dataset=attacked", "dataset.path=here", "trainer=cpu", "examples=3", "defender=patchcure"]
    heights = []
    for source in ("digits", "imagenette"):
        header = json.loads(Path("here/attack.json").read_text())
        Path("here/attack.json").write_text(json.dumps(header | {"dataset": source}))
        untrained(*evaluate, f"paths.output_dir={source}")
        output = capsys.readouterr().out
        (sheet,) = Path(source).rglob("contact_sheet.png")
        with Image.open(sheet) as drawn:
            heights.append(drawn.height)
        assert ("without the originals; imagenette: there is no folder" in output) == (source == "imagenette")
    assert heights[0] == 1.5 * heights[1]


def test_the_rounding_of_an_attacked_set_is_that_of_its_model(untrained: Command) -> None:
    untrained(*ATTACK, "store=here")
    untrained("audit", "numerics", "dataset=attacked", "dataset.path=here", "images=2", "mutants=2")
    (file,) = Path("outputs/audit").rglob("numerics.json")
    (attack,) = Path("outputs/attack").rglob("results.json")
    assert json.loads(file.read_text())["weights_sha256"] == read_results(attack)["weights_sha256"]


def test_the_originals_are_those_that_were_attacked(untrained: Command) -> None:
    """Also below two patches; everywhere but under them the images are the same."""
    untrained(*ATTACK, "store=first")
    untrained("attack", "dataset=attacked", "dataset.path=first", *ATTACK[-3:], "trainer=cpu", "seed=1", "store=second")
    places = {}
    for name in ("first", "second"):
        images = AttackedImages(Path(name))
        places[name] = {facts.id: Placement(*facts.placement).mask((224, 224))[0] for facts in images.facts}
    before = _originals(Path("second"), list(places["first"]), (224, 224))
    for record in images.records("test"):
        patched = places["first"][record.id] | places["second"][record.id]
        same = (np.asarray(images.image(record)) == (before[record.id] * 255).round()).all(2)
        assert same[~patched.numpy()].all()
        assert not same[places["first"][record.id].numpy()].all()
    with pytest.raises(DataError, match=r"digits: there are no images \[99999\]"):
        _originals(Path("first"), [99999], (224, 224))


def test_an_attack_on_a_detector_then_its_evaluation(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    detector = ["attack=silent", "attack.detector=hicert", "attack.threshold=0.5"]
    untrained(*ATTACK, "images=2", "attack.starts=1", *detector)
    following = re.search(r"mrcert eval (dataset=attacked .*)", capsys.readouterr().out)
    assert following is not None
    settings = json.loads(next(Path("outputs/attack").rglob("attack.json")).read_text())["attack"]
    assert (settings["attack"], settings["detector"], settings["threshold"], settings["stride"]) == (
        "silent", "hicert", 0.5, 1
    )  # fmt: skip
    untrained("eval", *following[1].split(), "trainer=cpu")
    assert following[1].endswith(" defender=hicert defender.threshold=0.5")
    (file,) = Path("outputs/eval").rglob("results.json")
    accuracy = read_results(file)["accuracy"]
    assert accuracy["harmful_alerts"]["n"] == 2 - accuracy["clean"]["count"]
    assert "harmful alerts" in capsys.readouterr().out


def test_files_are_the_same_for_every_batch_size_and_after_a_stop(
    untrained: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (1, 3):
        untrained(*ATTACK, f"batch_size={size}", f"store=by{size}")
    attack, seen = PatchIFGSM.attack, []

    def stopped(self: PatchIFGSM, *arguments: object) -> object:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return attack(self, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PatchIFGSM, "attack", stopped)
        with pytest.raises(SystemExit, match="130"):
            untrained(*ATTACK)
    assert "2 attacked images are kept" in capsys.readouterr().err
    untrained(*ATTACK, "store=last")
    assert "has 2 attacked images" in capsys.readouterr().out
    (parts,) = Path("outputs/attack").rglob("attacked")
    assert contents(Path("by1")) == contents(Path("by3")) == contents(parts)
    assert len(contents(parts)) == 5


def test_a_second_patch_is_put_on_images_that_have_one(untrained: Command) -> None:
    untrained(*ATTACK, "store=first")
    untrained("attack", "dataset=attacked", "dataset.path=first", *ATTACK[-3:], "trainer=cpu", "seed=1", "store=second")
    once, twice = (AttackedImages(Path(name)) for name in ("first", "second"))
    assert json.loads(Path("second/attack.json").read_text())["dataset"] == "digits"
    for record, facts in zip(once.records("test"), twice.facts, strict=True):
        before, after = (np.asarray(images.image(record)) for images in (once, twice))
        changed = (before != after).any(2)
        place = Placement(*facts.placement)
        assert changed.any()
        assert not (changed & ~place.mask((224, 224))[0].numpy()).any()


def test_a_vote_on_images_that_were_made_against_another_model(
    untrained: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Base is the label of the vote's own model, which takes its settings from its checkpoint."""
    untrained(*ATTACK, "store=here")
    vote = ["eval", "dataset=attacked", "dataset.path=here", "defender=vot", "trainer=cpu"]
    small = ["model=column_vit", "model.backbone_args={embed_dim: 16, depth: 1, num_heads: 2}", "model.width=40"]
    checkpoint = random_checkpoint(Path("vote.ckpt"), small)
    untrained(*vote, "model=column_vit", f"checkpoint={checkpoint}", "store=votes", "paths.output_dir=first")
    untrained(*vote, "table=votes", "paths.output_dir=again")
    (file,), (again,) = (Path(name).rglob("results.json") for name in ("first", "again"))
    result, rows = read_results(file), read_verdicts(file.with_name("verdicts.parquet"))
    assert rows == read_verdicts(again.with_name("verdicts.parquet"))
    assert (result["model"], result["patch"], result["mutants"]["sizes"]["width"]) == ("column_vit", 32, 40)
    model, images = rebuild(read_checkpoint(checkpoint)), AttackedImages(Path("here"))
    pixels = [torch.from_numpy(np.array(images.image(r))).permute(2, 0, 1) / 255 for r in images.records("test")]
    assert [row["base_prediction"] for row in rows] == model(torch.stack(pixels)).argmax(1).tolist()

    def failure(*arguments: str) -> str:
        with pytest.raises(SystemExit, match="1"):
            untrained(*vote, *arguments)
        return capsys.readouterr().err

    message = failure()
    assert "there is no checkpoint checkpoints/digits/column_vit_p32/best.ckpt" in message
    assert "mrcert train dataset=digits model=column_vit patch=32" in message
    assert "AblationVote votes over ablations, and ViTSRF has none" in failure(f"checkpoint={CHECKPOINT}")
    message = failure(f"checkpoint={checkpoint}", "model.width=50")
    assert "model.width: 40 in the checkpoint, 50 given" in message


def test_two_processes_make_the_files_of_one(untrained: Command) -> None:
    """An odd number of images: none is attacked twice, none left out."""
    script = [sys.executable, "-m", "mrcert_pl.cli.attack", *ATTACK[1:], "images=3", "trainer=ddp_cpu", "store=two"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(script, check=True, env=environment, stdin=subprocess.DEVNULL, timeout=200)
    untrained(*ATTACK, "images=3", "store=one")
    assert contents(Path("one")) == contents(Path("two"))


def test_settings_that_do_not_fit(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    def failure(*arguments: str) -> str:
        with pytest.raises(SystemExit, match="1"):
            untrained(*arguments)
        return capsys.readouterr().err

    untrained(*ATTACK, "images=2", "attack.quantize=false", "store=here")
    assert {file.suffix for file in Path("here").iterdir()} == {".json", ".safetensors"}
    message = failure(*ATTACK, "images=2", "attack.quantize=false", "attack.steps=3", "store=here")
    assert "was made by something else:\n  attack.steps: 2 in the set, 3 here" in message
    assert "unknown space of an attack 'raw'" in failure(*ATTACK, "attack.space=raw")
    assert "dataset=attacked needs dataset.path" in failure("eval", "dataset=attacked")
    assert "there is no attacked set in nowhere" in failure("eval", "dataset=attacked", "dataset.path=nowhere")
    assert "there is no earlier run to resume" in failure(*ATTACK, "store=last", "paths.output_dir=empty")
    header = json.loads(Path("here/attack.json").read_text())
    header["images"].append(12345)
    Path("here/attack.json").write_text(json.dumps(header))
    assert "1 of the 3 images" in failure("eval", "dataset=attacked", "dataset.path=here", "trainer=cpu")
    CHECKPOINT.unlink()
    message = failure("eval", "dataset=attacked", "dataset.path=here", "trainer=cpu")
    assert "mrcert train dataset=digits model=vit_srf patch=32" in message
