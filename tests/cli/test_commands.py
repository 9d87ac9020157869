"""The commands from end to end, on a model of a few thousand weights and a few images."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from offline_run import finished_run
from plain_results import read_results, read_verdicts
from tiny import TINY

from mrcert_pl.cli.main import main
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import base_weights, describe_model, with_digest
from mrcert_pl.results import read_locations

AUDITED = [*TINY, "patch=32"]
SMALL = [*AUDITED, "trainer=cpu"]
TRAIN = ["train", *SMALL, "dataset.limit=32", "recipe.batch_size=8", "trainer.max_epochs=2"]
TRAIN += ["callbacks.mutant_predictions.images=2"]
EVAL = ["eval", *SMALL, "dataset.limit=5"]
CHECKPOINT = Path("checkpoints/digits/vit_srf_p32/best.ckpt")

Command = Callable[..., None]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one training, for all tests that begin with one."""
    folder = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["mrcert", *TRAIN])
        main()
    return folder


@pytest.fixture
def trained(command: Command, training: Path, tmp_path: Path) -> Command:
    shutil.copytree(training, tmp_path, dirs_exist_ok=True)
    return command


def failure(command: Command, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that must fail with one clear error."""
    with pytest.raises(SystemExit) as stopped:
        command(*arguments)
    assert stopped.value.code == 1
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    assert errors.count("error: ") == 1
    return errors


def test_train_then_evaluate_with_every_defender_then_report(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command(*TRAIN)
    output = capsys.readouterr().out
    assert str(CHECKPOINT) in output
    following = output.split("Certify it with:  ")[1].strip()
    assert following.startswith("mrcert eval dataset=digits model=vit_srf patch=32 'model.backbone_args={")
    assert following.endswith(" model.split=1 defender=mrcert")
    assert CHECKPOINT.is_file()
    (run,) = Path("outputs/train/digits/vit_srf_p32").iterdir()
    assert {"config.yaml", "csv", "checkpoints"} <= {path.name for path in run.iterdir()}
    header = (run / "csv" / "metrics.csv").read_text().split("\n")[0].split(",")
    assert {f"val/{name}_accuracy" for name in ("base", "clean", "certified", "round_trip")} <= set(header)

    command("eval", "-m", *EVAL[1:], "defender=undefended,patchcure,mrcert")
    table = capsys.readouterr().out
    for defender in ("undefended", "patchcure", "mrcert"):
        assert f"  {defender} " in table
    _, _, jobs = table.partition("3 jobs (accuracy in %)")
    assert re.search(r"^ +defender +base +clean +certified +round trip +n +mutants *$", jobs, re.MULTILINE)
    assert [line.split()[0] for line in jobs.splitlines()[-4:] if line.strip()] == ["undefended", "patchcure", "mrcert"]
    files = sorted(Path("outputs/eval/digits/vit_srf_p32").glob("*/results.json"))
    results = {read_results(file)["defender"]: read_results(file) for file in files}
    assert set(results) == {"undefended", "patchcure", "mrcert"}
    assert results["mrcert"]["mutants"] == {
        "kind": "unions",
        "sizes": {"masks": 12, "unions": 439, "order": 4, "windows": 14},
    }
    assert results["patchcure"]["round_trip_note"]
    assert results["mrcert"]["environment"]["precision"] == "32-true"
    assert len({result["weights_sha256"] for result in results.values()}) == 1
    for file in files:
        rows, accuracy = read_verdicts(file.parent / "verdicts.parquet"), read_results(file)["accuracy"]
        assert len(rows) == 5
        assert accuracy["clean"]["count"] == sum(row["prediction"] == row["label"] for row in rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mrcert_pl.mutants.stopwatch._SECONDS", 0.0)
        patch.setattr("mrcert_pl.views.plan._cost", lambda row: f"gflops {row.gflops}")
        command("plan", *TINY, "patch=32", "strides=[1]", "budget.seconds=null")
    planned = re.findall(r"[\d.]+", capsys.readouterr().out.split("gflops [")[1].split("]")[0])
    detection, verdict, _, round_trip = map(float, planned)
    assert 0 < detection < verdict
    assert results["patchcure"]["gflops_per_image"] == pytest.approx(verdict, abs=1e-6)
    assert results["mrcert"]["gflops_per_image"] == pytest.approx(round_trip, abs=1e-6)
    assert 0 < results["undefended"]["gflops_per_image"] < verdict

    command("report")
    report = capsys.readouterr().out
    assert report.count("digits, vit_srf, patch 32 px, 5 images") == 1


def test_evaluation_is_the_same_for_every_batch_size(trained: Command) -> None:
    rows = []
    for size in (1, 5):
        trained(*EVAL, "defender=patchcure", f"batch_size={size}", f"paths.output_dir=by{size}")
        (file,) = Path(f"by{size}").rglob("verdicts.parquet")
        rows.append(read_verdicts(file))
    assert rows[0] == rows[1]


def test_a_later_training_that_fails_leaves_the_published_checkpoint(
    trained: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    before = CHECKPOINT.read_bytes()
    message = failure(trained, capsys, *TRAIN, "recipe.finetuning.optimizer.lr=1e30")
    assert "the training loss became" in message
    assert CHECKPOINT.read_bytes() == before


def test_two_stages(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    authors = [*TRAIN, "recipe=authors", "trainer.max_epochs=1"]
    assert "stage=srf_vanilla" in failure(command, capsys, *authors, "stage=split")
    command(*authors, "stage=srf_vanilla")
    output = capsys.readouterr().out
    assert "stage=split" in output
    assert "Best checkpoint (val/unmasked_accuracy" in output
    assert CHECKPOINT.with_name("srf_vanilla.ckpt").is_file()
    assert not CHECKPOINT.exists()
    refused = failure(command, capsys, *authors, "stage=split", "seed=5", "ckpt_path=last")
    assert "stage: srf_vanilla there, split here" in refused
    assert "seed: 0 there, 5 here" in refused
    command(*authors, "stage=split")
    assert CHECKPOINT.is_file()
    # Runs that start within the same second have folders of their own; so has each one that was refused.
    assert len(list(Path("outputs/train/digits/vit_srf_p32").iterdir())) == 4
    assert "unknown stage 'two'" in failure(command, capsys, *TRAIN, "stage=two")


def test_resuming_without_a_run_says_so(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no training to resume" in failure(command, capsys, *TRAIN, "ckpt_path=last")
    assert "there is no checkpoint nowhere.ckpt" in failure(command, capsys, *TRAIN, "ckpt_path=nowhere.ckpt")


def test_a_published_checkpoint_is_resumed_in_a_run_of_its_own(trained: Command) -> None:
    before = sorted(Path("checkpoints").rglob("*"))
    trained(*TRAIN, "trainer.max_epochs=3", f"ckpt_path={CHECKPOINT}", "paths.output_dir=later")
    assert sorted(Path("checkpoints").rglob("*")) == before
    assert list(Path("later").rglob("last.ckpt"))


def test_two_processes_give_the_verdicts_of_one(trained: Command, capfd: pytest.CaptureFixture[str]) -> None:
    """An odd number of images: none is seen twice, none left out; W&B gets one run."""
    settings = [*EVAL[1:], "defender=patchcure", "batch_size=2", "logger=wandb"]
    trained("eval", *settings, "trainer=cpu", "paths.output_dir=cpu")
    # Lightning starts the second process with the command line of the first.
    script = [sys.executable, "-m", "mrcert_pl.cli.eval", *settings, "trainer=ddp_cpu", "paths.output_dir=ddp_cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(script, check=True, env=environment, stdin=subprocess.DEVNULL, timeout=200)
    rows, counts = [], []
    for trainer in ("cpu", "ddp_cpu"):
        (file,) = Path(trainer).rglob("results.json")
        assert finished_run(*Path(trainer).rglob("offline-run-*/run-*.wandb")).summary["test/n"] == 5
        rows.append(read_verdicts(file.with_name("verdicts.parquet")))
        counts.append(read_results(file)["accuracy"])
    assert rows[0] == rows[1]
    assert counts[0] == counts[1]


def test_a_set_of_patch_shapes_stands_in_the_result(trained: Command) -> None:
    rows = evaluated(trained, "patch=[16x32,32x16]", f"checkpoint={CHECKPOINT}", "defender=mrcert_sharp", "examples=1")
    assert len(rows) == 5
    (file,) = Path("outputs/eval").rglob("results.json")
    assert read_results(file)["patch"] == ["16x32", "32x16"]
    assert len(read_locations(file.with_name("locations.npz")).counts) == 2


def test_help_and_config_need_no_data(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("train", "--help")
    text = capsys.readouterr().out
    assert "Fine-tune a base model" in text
    defenders = "hicert, mrcert, mrcert_cascade, mrcert_sharp, patchcensor, patchcure, patchcure_paper, patchguardpp"
    assert defenders in " ".join(text.split())
    command("eval", "--cfg", "job", "--resolve")
    assert "_target_: mrcert_pl.defenders.build\n  name: mrcert\n" in capsys.readouterr().out
    command("--help")
    assert "certify a test set" in capsys.readouterr().out
    command("--version")
    assert capsys.readouterr().out.startswith("mrcert 0.")


def test_an_unknown_command_lists_the_known_ones(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("evaluate")
    assert stopped.value.code == 2
    assert "no command 'evaluate'" in capsys.readouterr().err


@pytest.fixture
def untrained(command: Command, tiny_vit: ViTSRF) -> Command:
    """Commands in a folder with a checkpoint of random weights."""
    CHECKPOINT.parent.mkdir(parents=True)
    origin = {**describe_model(tiny_vit), "name": "vit_srf", "dataset": "digits", "classes": list("0123456789")}
    state = {f"model.{name}": value for name, value in tiny_vit.state_dict().items()}
    torch.save({"state_dict": state, "mrcert": {**origin, "patch": "32", "stride": 1}}, CHECKPOINT)
    return command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["defender=mrcrt"], r"did you mean mrcert\? defender is one of: (\w+, )*patchcure, (\w+, )*undefended"),
        (["dataset=digit"], r"did you mean digits\? dataset is one of: (\w+, )*digits"),
        (["defender.certificate=papr"], "no setting defender.certificate: choose a defender: mrcert, mrcert_sharp"),
        (["defender=patchcure", "defender.reference=most"], "choose one of: majority, original"),
        (["dataset.name=digit"], "unknown data set 'digit'"),
        (["patch=0"], "at least 1 px"),
        (["patch=-16"], "at least 1 px"),
        (["patch=300"], "larger than the image of 224x224 px"),
        (["patch=wide"], "can't read the patch size 'wide'"),
        (["patch=[16.5]"], r"can't read the patch size .*'16x48'"),
        (["patches=0"], "at least one patch"),
        (["defender.patches=0"], "at least one patch"),
        (["stride=0"], "stride must be a whole number of at least 1, or two of them, got 0"),
        (["patch=96"], "can hide all 14 windows"),
        (["batch_size=0"], "batch_size must be a whole number of at least 1, got 0"),
        pytest.param(
            ["trainer=gpu"],
            "no GPU was found; give trainer=cpu or trainer=ddp_cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="here it gets one"),
        ),
        (["trainr.devices=2"], r"no setting trainr\.devices; did you mean trainer\.devices\?"),
        (["paths.output_dir=/dev/null/outputs"], r"Not a directory: /dev/null/outputs.*paths\.output_dir"),
    ],
)
def test_bad_settings(
    untrained: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert re.search(message, failure(untrained, capsys, *EVAL, f"checkpoint={CHECKPOINT}", *arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.window=[5,1]"], "doesn't divide the token grid"),
        (["model.split=9"], "split must be from 0 to the 2 blocks"),
        (["model.backbone=resnet50"], "can't make 'resnet50'|not a plain ViT"),
        (["patch=300"], "larger than the image of 224x224 px"),
        (["patch=96"], "can hide all 14 windows"),
        (["stride=0"], "stride must be a whole number of at least 1, or two of them, got 0"),
    ],
)
@pytest.mark.parametrize("which", [TRAIN, EVAL], ids=["train", "eval"])
def test_bad_models(
    command: Command, capsys: pytest.CaptureFixture[str], which: list[str], arguments: list[str], message: str
) -> None:
    """Whether there is a checkpoint or not."""
    assert re.search(message, failure(command, capsys, *which, *arguments))


def test_a_missing_checkpoint_names_the_command_that_makes_it(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    message = failure(command, capsys, *EVAL)
    assert f"no checkpoint {CHECKPOINT}" in message
    assert "mrcert train dataset=digits model=vit_srf patch=32" in message


def test_checkpoints_that_do_not_fit(trained: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "model.split: 1 in the checkpoint, 2 given" in failure(trained, capsys, *EVAL, "model.split=2")

    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(CHECKPOINT.read_bytes()[:5000])
    assert "truncated, damaged" in failure(trained, capsys, *EVAL, f"checkpoint={cut}")

    other = torch.load(CHECKPOINT, weights_only=True)
    other["mrcert"]["classes"] = [str(label) for label in range(100)]
    file = tmp_path / "classes.ckpt"
    torch.save(other, file)
    assert "is damaged" in failure(trained, capsys, *EVAL, f"checkpoint={file}")
    other["mrcert"] = with_digest(other["mrcert"], base_weights(other["state_dict"]))
    torch.save(other, file)
    message = failure(trained, capsys, *EVAL, f"checkpoint={file}")
    assert "classes: 100 (0, 1, 2, ...) in the checkpoint, 10 (0, 1, 2, ...) of dataset=digits" in message


def test_finished_images_are_kept_when_one_fails(trained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    encode, seen = ViTSRF.encode, []

    def damaged(self: ViTSRF, images: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return encode(self, images) * (torch.nan if len(seen) == 3 else 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTSRF, "encode", damaged)
        message = failure(trained, capsys, *EVAL, "defender=patchcure", "batch_size=1")
    assert "are not finite" in message
    (folder,) = Path("outputs/eval").rglob("mutants")
    assert f"store={folder}" in message.replace(f"{Path.cwd()}/", "")

    whole = evaluated(trained, "defender=patchcure", "paths.output_dir=whole")
    with counted_images() as encoded:
        resumed = evaluated(trained, "defender=patchcure", "store=last", "batch_size=1")
    assert "tables of 2 images" in capsys.readouterr().out
    assert len(encoded) == 3
    assert resumed == whole


@contextmanager
def counted_images() -> Iterator[list[int]]:
    """Batches that a model encodes meanwhile."""
    encode, seen = ViTSRF.encode, []

    def counting(self: ViTSRF, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return encode(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTSRF, "encode", counting)
        yield seen


def evaluated(command: Command, *overrides: str) -> list[dict]:
    """The verdicts of an evaluation."""
    before = set(Path().rglob("verdicts.parquet"))
    command(*EVAL, *overrides)
    (file,) = set(Path().rglob("verdicts.parquet")) - before
    return read_verdicts(file)


def test_defenders_share_the_labels_of_mutants(trained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = {name: evaluated(trained, f"defender={name}") for name in ("patchcure", "mrcert")}
    trained("eval", "-m", *EVAL[1:], "defender=undefended,patchcure", "store=shared")
    with counted_images() as encoded:
        shared = evaluated(trained, "defender=mrcert", "store=shared")
        assert encoded == [5]
        assert evaluated(trained, "defender=mrcert", "store=shared") == shared
        assert encoded == [5]
        capsys.readouterr()
        for name, expected in verdicts.items():
            # Those of a larger lattice cost it nothing.
            assert evaluated(trained, f"defender={name}", "table=shared", "checkpoint=nowhere") == expected
        for row in evaluated(trained, "defender=undefended", "table=shared", "checkpoint=nowhere"):
            assert row["prediction"] == row["base_prediction"]
        assert len(evaluated(trained, "table=shared", "dataset.limit=2")) == 2
        assert encoded == [5]
    assert without_counts(shared) == without_counts(verdicts["mrcert"])
    assert "patch 32 px, 5 images" in capsys.readouterr().out

    results = [read_results(file) for file in Path("outputs/eval").rglob("results.json")]
    assert len({result["weights_sha256"] for result in results}) == 1
    assert {Path(result["table"]).name for result in results} == {"mutants", "shared"}


def test_lazy_evaluation_gives_the_same_rows_from_fewer_mutants(
    trained: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("mrcert_sharp", "mrcert_cascade", "patchcure")
    for name in names:
        full = evaluated(trained, f"defender={name}", "evaluate=full")
        lazy = evaluated(trained, f"defender={name}", "evaluate=lazy", f"store={name}")
        assert without_counts(lazy) == without_counts(full)
        assert evaluated(trained, f"defender={name}", f"table={name}") == lazy
        mean = sum(row["mutants_evaluated"] for row in lazy) / len(lazy)
        assert mean < full[0]["mutants_evaluated"]
        found = [read_results(file) for file in Path("outputs/eval").rglob("results.json")]
        means = {result["mutants_per_image"] for result in found}
        assert {round(mean, 2), full[0]["mutants_evaluated"]} <= means
        gflops = {result["gflops_per_image"] for result in found}
        assert {round(sum(row["gflops"] for row in rows) / len(rows), 6) for rows in (lazy, full)} <= gflops
    message = failure(trained, capsys, *EVAL, "evaluate=some")
    assert "unknown evaluation (evaluate=) 'some'; choose one of: full, lazy" in message
    message = failure(trained, capsys, *EVAL, "examples=[123456]")
    assert "examples= names images that are not evaluated: [123456]" in message
    message = failure(trained, capsys, *EVAL, "reported={cert: 0.5}")
    assert "unknown accuracy (reported=) 'cert'; choose one of: adversarial_certified, alerts, base, " in message


def test_verdicts_can_be_drawn_and_say_where_an_image_is_safe(trained: Command) -> None:
    rows = evaluated(trained, "defender=mrcert_sharp", "examples=2")
    assert len(list(Path("outputs").rglob("examples/*.png"))) == 2
    for row in rows:
        assert len(row["safe_masks"]) == 12
        assert (row["certified_fraction"] == 1) == all(row["safe_masks"]) == row["certified"]
        assert row["certified"] == (row["certified_patches"] >= 1)
    (maps,) = Path("outputs").rglob("locations.npz")
    (count,) = read_locations(maps).counts
    right = [row for row in rows if row["prediction"] == row["label"]]
    assert count.shape == (193, 193)
    assert count.mean() == pytest.approx(sum(row["certified_fraction"] for row in right))
    assert count.min() >= sum(row["certified"] for row in right)
    assert {row["safe_masks"] for row in evaluated(trained, "defender=undefended")} == {None}
    assert list(Path("outputs").rglob("locations.npz")) == [maps]


def without_counts(rows: list[dict]) -> list[dict]:
    return [row | {"mutants_evaluated": None, "gflops": None} for row in rows]


def test_labels_of_something_else_are_refused(trained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(trained, "defender=patchcure", "store=shared")
    message = failure(trained, capsys, *EVAL, "patch=16", f"checkpoint={CHECKPOINT}", "store=shared")
    assert "masks" in message
    assert "give the settings that they were made with" in message
    message = failure(trained, capsys, *EVAL, "trainer.precision=bf16-mixed", "store=shared")
    assert "precision: 32-true in the store, bf16-mixed here" in message
    assert "the table lacks" in failure(trained, capsys, *EVAL, "defender=mrcert", "table=shared")
    assert "there are no tables in nowhere" in failure(trained, capsys, *EVAL, "table=nowhere")
    assert "there is no earlier run to resume" in failure(trained, capsys, *EVAL, "store=last", "paths.output_dir=new")
    trained(*TRAIN, "seed=1", "trainer.max_epochs=1")
    assert "weights_sha256" in failure(trained, capsys, *EVAL, "defender=patchcure", "store=shared")


def test_a_damaged_result_of_an_earlier_run_is_named(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("outputs/eval/old/results.json")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"format": 1})[:-3])
    assert str(file) in failure(command, capsys, "report")
    assert file.exists()


def test_the_spread_of_logits_gives_a_margin(trained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    trained("audit", "numerics", *AUDITED, "images=2", "mutants=3")
    output = capsys.readouterr().out
    assert "Logits of 6 mutants" in output
    assert "defender.margin=" in output
    (file,) = Path("outputs/audit").rglob("numerics.json")
    content = json.loads(file.read_text())
    largest = max(spread["delta"] for spread in content["spreads"] if spread["precision"] == "float32")
    assert largest <= content["delta"]["float32"] <= 2 * largest
    assert 2 * content["delta"]["float32"] <= content["margin"]["float32"] <= 2.2 * content["delta"]["float32"]
    assert content["delta"]["bfloat16"] > content["delta"]["float32"]

    margin = f"defender.margin={content['margin']['float32']}"
    evaluated(trained, "defender=mrcert_sharp", margin, f"numerics={file}")
    (result,) = (read_results(found) for found in Path("outputs/eval").rglob("results.json"))
    assert (result["margin"], result["delta"]) == (content["margin"]["float32"], content["delta"])
    file.write_text(json.dumps(content | {"weights_sha256": "0" * 64}))
    assert "is about other weights" in failure(trained, capsys, *EVAL, f"numerics={file}")
    file.write_text("{}")
    assert "is not a valid result of mrcert audit numerics" in failure(trained, capsys, *EVAL, f"numerics={file}")
    assert "mutants must be a whole number of at least 1, got 0" in failure(
        trained, capsys, "audit", "numerics", *AUDITED, "mutants=0"
    )
    with pytest.raises(SystemExit):
        trained("audit", "nothing")
    assert "no command 'audit nothing'" in capsys.readouterr().err
