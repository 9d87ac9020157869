"""What a command takes from the files that it is given, and settings of earlier versions."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_results import read_results
from tiny import TINY

from mrcert_pl.cli.adopt import adopted
from mrcert_pl.data import AttackedSet, AttackedSetHeader
from mrcert_pl.errors import ConfigurationError, DataError
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import describe_model

Command = Callable[..., None]


def save(model: ViTSRF, path: Path, **origin: Any) -> Path:
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "mrcert": {**describe_model(model), **origin}}, path)
    return path


ORIGIN = {
    "name": "masked_vit",
    "dataset": "imagenette",
    "patch": "32",
    "stride": [2, 3],
    "resize": "whole",
    "classes": list("abc"),
}
IMPLIED = ["model=masked_vit", "dataset=imagenette", "patch=32", "stride=[2,3]", "dataset.resize=whole"]


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_vit: ViTSRF) -> str:
    return f"checkpoint={save(tiny_vit, tmp_path / 'best.ckpt', **ORIGIN)}"


@pytest.mark.parametrize("command", ["eval", "train", "predict"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("paths.output_dir=null", "paths.output_dir must be a folder, got null"),
        ("paths.output_dir=", "paths.output_dir must be a folder, got nothing"),
        ("paths.checkpoint_dir=''", "paths.checkpoint_dir must be a folder, got ''"),
        ("paths.run_dir=a", "paths.run_dir is set at the start of a run; paths.output_dir=FOLDER moves all runs"),
    ],
)
def test_folders_that_cannot_be(command: str, setting: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        adopted(command, [setting])
    assert adopted(command, ["paths.output_dir=a,b"]) == ["paths.output_dir=a,b"]


def test_the_patch_of_no_checkpoint(checkpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="patch=null takes the patch of checkpoint=, which is not given"):
        adopted("eval", ["patch=null"])
    assert "patch=32" not in adopted("eval", ["patch=null", checkpoint])


ABOUT_A_MODEL = ["eval", "attack", "audit_certificates", "audit_numerics", "thresholds", "labelling"]


@pytest.mark.parametrize("command", ABOUT_A_MODEL)
def test_all_that_a_checkpoint_says_is_taken(command: str, checkpoint: str) -> None:
    assert adopted(command, [checkpoint, "batch_size=2"]) == [checkpoint, "batch_size=2", *IMPLIED]


@pytest.mark.parametrize("command", ["train", "predict", "serve"])
def test_other_commands_take_nothing(command: str, checkpoint: str) -> None:
    assert adopted(command, [checkpoint]) == [checkpoint]


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["model=blackbox", "model.weights=a.pth"], ["checkpoint=null"]),
        (["model=blackbox", "model.weights=a.pth", "checkpoint=b.ckpt"], []),
        (["model=blackbox", "model.weights=a.pth", "table=tables"], []),
        (["model=blackbox"], []),
        (["model=blackbox", "model.weights=null"], []),
        (["model=masked_vit", "model.weights=a.pth"], []),
    ],
)
def test_weights_of_a_classifier_are_evaluated_without_a_checkpoint(given: list[str], added: list[str]) -> None:
    for command in ("eval", "attack", "audit_certificates"):
        assert adopted(command, given) == [*given, *added]
    assert adopted("train", given) == given


def test_a_plan_takes_model_and_patch(checkpoint: str) -> None:
    assert adopted("plan", [checkpoint]) == [checkpoint, "model=masked_vit", "patch=32"]
    assert adopted("plan", [checkpoint, "patch=16"]) == [checkpoint, "patch=16", "model=masked_vit"]


@pytest.mark.parametrize(
    ("given", "dropped"),
    [
        ("patch=16", "patch="),
        ("patch=16,32", "patch="),
        ("stride=1", "stride="),
        ("model=vit_srf", "model="),
        ("+model=vit_srf", "model="),
        ("dataset=cifar10", "dataset="),
        ("dataset.resize=crop", "dataset.resize="),
    ],
)
def test_what_is_given_takes_precedence(checkpoint: str, given: str, dropped: str) -> None:
    expected = [override for override in IMPLIED if not override.startswith(dropped)]
    assert adopted("eval", [checkpoint, given]) == [checkpoint, given, *expected]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "no_such_model"},
        {"name": "../../etc"},
        {"dataset": "eval"},
        {"patch": "wide"},
        {"patch": "0"},
        {"stride": [1, 2, 3]},
        {"stride": [0, 1]},
        {"resize": "${oc.env:HOME}"},
    ],
    ids=repr,
)
def test_what_is_unknown_is_not_taken(tmp_path: Path, tiny_vit: ViTSRF, changed: dict[str, Any]) -> None:
    """A checkpoint may come from anybody."""
    file = save(tiny_vit, tmp_path / "best.ckpt", **{**ORIGIN, **changed})
    (name,) = changed
    group = {"name": "model", "resize": "dataset.resize"}.get(name, name)
    expected = [override for override in IMPLIED if not override.startswith(f"{group}=")]
    if name == "dataset":
        # The resize of a data set that nobody named.
        expected = [override for override in expected if not override.startswith("dataset.")]
    assert adopted("eval", [f"checkpoint={file}"]) == [f"checkpoint={file}", *expected]


@pytest.mark.parametrize(
    "changed",
    [{"name": ["masked_vit"]}, {"dataset": None}, {"patch": True}, {"stride": "1; rm"}, {"stride": True}],
    ids=repr,
)
def test_nothing_is_taken_of_a_malformed_checkpoint(tmp_path: Path, tiny_vit: ViTSRF, changed: dict[str, Any]) -> None:
    file = save(tiny_vit, tmp_path / "best.ckpt", **{**ORIGIN, **changed})
    assert adopted("eval", [f"checkpoint={file}"]) == [f"checkpoint={file}"]


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_checkpoint_that_cannot_be_read_is_left_to_the_task(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "best.ckpt"
    if content is not None:
        file.write_bytes(content)
    assert adopted("eval", [f"checkpoint={file}"]) == [f"checkpoint={file}"]
    assert adopted("eval", [f"table={file}"]) == [f"table={file}"]


def attacked_set(folder: Path, **changed: Any) -> str:
    facts: dict[str, Any] = {
        "source": "imagenette",
        "classes": ("a", "b"),
        "images": (1,),
        "quantize": True,
        "patch": "16x48",
        "model_name": "masked_vit",
        "model_kind": "masked_vit",
        "model_settings": {},
        "checkpoint": "",
        "attack": {},
        "model": {},
        "weights_sha256": "0" * 64,
        "precision": "32-true",
        "device": "cpu",
        "source_settings": {},
    }
    AttackedSet(folder, AttackedSetHeader(**{**facts, **changed}))
    return f"dataset.path={folder}"


def test_an_attacked_set_names_its_source_its_patch_and_its_model(tmp_path: Path) -> None:
    given = ["dataset=attacked", attacked_set(tmp_path / "set")]
    assert adopted("eval", given) == [*given, "dataset.source=imagenette", "patch=16x48", "model=masked_vit"]
    votes = [*given, "defender=vot"]
    assert adopted("eval", votes) == [*votes, "dataset.source=imagenette", "patch=16x48"]


def test_a_checkpoint_beside_an_attacked_set_names_the_model(tmp_path: Path, checkpoint: str) -> None:
    given = ["dataset=attacked", attacked_set(tmp_path / "set", model_kind="vit_srf"), checkpoint]
    added = adopted("eval", given)[len(given) :]
    # Neither the data set nor its resize: those of the attacked set are fixed.
    assert set(added) == {"dataset.source=imagenette", "patch=16x48", "model=masked_vit", "stride=[2,3]"}


def test_an_attacked_set_names_the_checkpoint_of_the_attacked_model(
    tmp_path: Path, tiny_vit: ViTSRF, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tiny_vit, Path("best.ckpt"), **ORIGIN)
    given = ["dataset=attacked", attacked_set(tmp_path / "set", checkpoint="best.ckpt")]
    assert {"checkpoint=best.ckpt", "model=masked_vit", "stride=[2,3]"} <= {*adopted("eval", given)}
    for another in ("model=vit_srf", "defender=vot", "checkpoint=mine.ckpt", "table=tables"):
        assert "checkpoint=best.ckpt" not in adopted("eval", [*given, another])
    elsewhere = ["dataset=attacked", attacked_set(tmp_path / "other", checkpoint="/etc/best.ckpt")]
    with pytest.raises(DataError, match=r"'/etc/best\.ckpt', which is not below the working directory"):
        adopted("eval", elsewhere)


@pytest.mark.parametrize("dataset", ["digits", "attacked"])
def test_images_of_one_size_are_not_resized(checkpoint: str, dataset: str) -> None:
    added = adopted("eval", [checkpoint, f"dataset={dataset}"])
    assert not any(override.startswith("dataset.resize") for override in added)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "want=label"], "there is no setting want: it is now output"),
        (["serve", "want=label"], "there is no setting want: it is now output"),
        (["train", "model.hidden=drop"], "there is no setting model.hidden: it is now model.hidden_tokens"),
        (["eval", "+model.hidden=drop"], "there is no setting model.hidden: it is now model.hidden_tokens"),
        (["train", "recipe.finetuning.worst_of=3"], "there is no setting recipe.finetuning.worst_of: it was removed"),
        (
            ["train", "++recipe.finetuning.consistency.weight=3"],
            "there is no setting recipe.finetuning.consistency: it was removed",
        ),
    ],
)
def test_a_setting_of_an_earlier_version_names_its_successor(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command(*arguments)
    assert message in capsys.readouterr().err


def test_settings_that_only_begin_like_earlier_ones_are_not_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.hidden:"):
        adopted("train", ["model.hidden=drop"])
    for argument in ("model.hidden_tokens=drop", "wanted=1", "recipe.finetuning.worst=1", "--help", "~want"):
        assert adopted("train", [argument]) == [argument]


def test_an_evaluation_needs_only_the_checkpoint(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Patch and stride can be given beside it; a model that contradicts it is an error that shows both."""
    few = ["trainer=cpu", "dataset.limit=8", "trainer.max_epochs=1", "callbacks.mutant_predictions.images=1"]
    window = ["model.window=[2,2]", "stride=2"]
    command("train", *TINY, *window, "patch=32", "recipe.batch_size=8", "defender=patchcure", *few)
    checkpoint = "checkpoint=checkpoints/digits/vit_srf_p32/best.ckpt"
    short = [checkpoint, "trainer=cpu", "dataset.limit=2", "defender=patchcure"]
    command("eval", *short, "paths.output_dir=a")
    command("eval", *short, "patch=16", "stride=1", "paths.output_dir=b")
    a, b = (read_results(next(Path(name).rglob("results.json"))) for name in "ab")
    assert (a["patch"], a["mutants"]["sizes"]["windows"], a["config"]["stride"]) == (32, 49, 2)
    assert a["config"]["model"]["split"] == 1
    assert (b["patch"], b["config"]["stride"]) == (16, 1)
    capsys.readouterr()
    for contradicting, message in (
        ("model.split=2", "model.split: 1 in the checkpoint, 2 given"),
        ("model=masked_vit", "model.name: 'vit_srf' in the checkpoint, 'masked_vit' given"),
        ("dataset=cifar100", "classes: 10 (0, 1, 2, ...) in the checkpoint, 100 (apple, "),
    ):
        with pytest.raises(SystemExit, match="1"):
            command("eval", *short, contradicting)
        error = capsys.readouterr().err
        assert message in error
        assert "Error executing job" not in error
