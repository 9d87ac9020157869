"""What the how-tos say to write and to run is written and run."""

import importlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from pages import ROOT, commands, titled, write_files
from PIL import Image
from tiny import TINY

from mrcert_pl import Guard
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.cli.instantiate import made
from mrcert_pl.data import ImageDataModule, catalog
from mrcert_pl.defenders import registry
from mrcert_pl.models import GridModel, TrainableModel
from mrcert_pl.models.registry import _KINDS
from mrcert_pl.results import find_runs

Command = Callable[..., None]
SMALL = [*TINY, "trainer=cpu"]


@pytest.fixture
def trained(command: Command) -> Command:
    one_epoch = ["dataset.limit=16", "recipe.batch_size=8", "trainer.max_epochs=1"]
    command("train", *SMALL, "patch=32", *one_epoch, "callbacks.mutant_predictions.images=2")
    return command


@pytest.fixture
def defender(trained: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of somebody who has written the files of the page."""
    write_files("defender", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    yield tmp_path
    for module in ("stable_mask", "test_stable_mask", "verdicts"):
        sys.modules.pop(module, None)


def test_a_new_defender_evaluates(command: Command, defender: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(ROOT / "docs/howto/defender.md"):
        command(*words, *([*SMALL, "dataset.limit=5"] if words[0] == "eval" else []))
    results = [run.result for run in find_runs([Path("outputs")])]
    assert capsys.readouterr().out.count("all values agree with the tables") == 3
    assert [result.defender for result in results] == ["stable_mask", "stable_mask", "patchcure"]
    first, again, patchcure = (result.accuracy for result in results)
    assert first == again
    assert first["base"].count == patchcure["base"].count


def test_a_new_defender_guards(defender: Path) -> None:
    guard = importlib.import_module("verdicts").guard
    assert isinstance(guard, Guard)
    (verdict,) = guard([Image.new("RGB", (224, 224))])
    assert verdict.case in (1, 2)


def test_the_test_of_the_new_defender(defender: Path) -> None:
    importlib.import_module("test_stable_mask").test_no_patch_changes_a_certified_label()


def images_of_two_classes(folder: Path, images: int) -> None:
    for label, name in enumerate(("stop", "yield")):
        (folder / name).mkdir(parents=True)
        for number in range(1, images + 1):
            Image.fromarray(np.full((30, 40, 3), 90 * label + number, np.uint8)).save(
                folder / name / f"{number:04d}.jpg"
            )


def loaded(*overrides: str) -> ImageDataModule:
    """The data module of a configuration, as commands make it."""
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        cfg = compose("eval", overrides=[*overrides, "dataset.workers=0"])
    return made(cfg.dataset, image_px=(32, 32), batch_size=2)


def sizes(data: ImageDataModule) -> list[int]:
    return [len(data.split(split).records) for split in ("train", "val", "test")]


def test_own_images_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images_of_two_classes(tmp_path / "photos", 10)
    (tmp_path / "labels.csv").write_text(titled("dataset")["labels.csv"])
    data = loaded("dataset=folder", "dataset.root=photos")
    assert data.description.classes == ("stop", "yield")
    assert sizes(data) == [14, 2, 4]
    table = loaded("dataset=folder", "dataset.root=photos", "dataset.labels=labels.csv")
    assert table.description.classes == ("other", "red")
    assert sizes(table) == [2, 2, 2]


def test_own_images_are_trained_on_and_certified(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images_of_two_classes(tmp_path / "photos", 10)
    photos = ["dataset=folder", "dataset.root=photos", "dataset.workers=0", "patch=32", "trainer=cpu"]
    tiny = ["model.backbone=vit_tiny_patch16_224", "model.pretrained=false", f"++{TINY[0]}", *TINY[1:]]
    few = ["recipe.batch_size=4", "trainer.max_epochs=1", "callbacks.mutant_predictions.images=2"]
    command("train", *photos, *tiny, *few)
    assert Path("checkpoints/folder_photos/vit_srf_p32/best.ckpt").is_file()
    command("eval", *photos, *tiny)
    assert "folder, vit_srf, patch 32 px, 4 images" in capsys.readouterr().out


def test_a_new_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "_REGISTERED", {})
    monkeypatch.delitem(sys.modules, "signs", raising=False)
    for part, images in (("train", 10), ("val", 3)):
        images_of_two_classes(tmp_path / "data/signs" / part, images)
    write_files("dataset", tmp_path)
    data = loaded(f"hydra.searchpath=[file://{tmp_path}/conf]", "dataset=signs")
    assert sizes(data) == [18, 2, 6]
    assert data.split("test")[0].image.shape == (3, 32, 32)


def test_a_new_model_trains(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files("backbone", tmp_path)
    (line,) = [words for words in commands(ROOT / "docs/howto/backbone.md") if "model=small_srf" in words]
    few = ["dataset.limit=16", "recipe.batch_size=8", "trainer.max_epochs=1", "callbacks.mutant_predictions.images=2"]
    command(*line, *few, "trainer=cpu", "++model.backbone_args.qkv_bias=false")
    assert Path("checkpoints/digits/small_srf_p32/best.ckpt").is_file()
    following = shlex.split(capsys.readouterr().out.split("Certify it with:  ")[1])
    command("eval", *following[2:], "trainer=cpu", "dataset.limit=2")


@pytest.fixture
def patch_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder with the files of the page on backbones."""
    write_files("backbone", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("mrcert_pl.models.registry._KINDS", dict(_KINDS))
    yield tmp_path
    for module in ("patch_encoder", "test_patch_encoder"):
        monkeypatch.delitem(sys.modules, module, raising=False)


def test_a_model_outside_the_package_trains_certifies_and_guards(command: Command, patch_encoder: Path) -> None:
    few = ["dataset.limit=16", "recipe.batch_size=8", "trainer.max_epochs=1", "callbacks.mutant_predictions.images=2"]
    for words in commands(ROOT / "docs/howto/backbone.md"):
        if "model=patch_encoder" in words:
            command(*words, "trainer=cpu", *(few if words[0] == "train" else ["dataset.limit=2"]))
    (run,) = find_runs([Path("outputs")])
    assert run.result.mutants.sizes["windows"] == 49
    guard = Guard.from_checkpoint("checkpoints/digits/patch_encoder_p32/best.ckpt", defender="patchcure")
    assert guard([Image.new("RGB", (224, 224))])[0].name in guard.class_names


def test_the_test_of_the_new_model(patch_encoder: Path) -> None:
    importlib.import_module("test_patch_encoder").test_hidden_pixels_have_no_effect()


def test_the_new_model_plays_its_roles(patch_encoder: Path) -> None:
    model = importlib.import_module("patch_encoder").PatchEncoder(num_classes=5)
    assert isinstance(model, GridModel)
    assert isinstance(model, TrainableModel)


@pytest.fixture
def hf_dinov3(patch_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the page with DINOv3."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    yield importlib.import_module("hf_dinov3")
    monkeypatch.delitem(sys.modules, "hf_dinov3", raising=False)


def test_a_model_of_hugging_face(hf_dinov3: Any) -> None:
    model = hf_dinov3.DINOv3(5, (64, 64), 32, 2, 2).eval()
    images, image = torch.rand(2, 3, 64, 64), torch.arange(2)
    hidden = torch.zeros(2, 16, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(model.classify_mutants(model.encode(images), image, hidden), model(images))
        hidden[:, [1, 6, 7]] = True
        pixels = hidden.view(2, 1, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
        features, masked = model.encode(images), model.encode(images.masked_fill(pixels, torch.nan))
        logits = model.classify_mutants(features, image, hidden)
        assert torch.equal(logits, model.classify_mutants(masked, image, hidden))
        assert torch.equal(model.classify_visible(features, hidden), model.classify_visible(masked, hidden))
        torch.testing.assert_close(model.classify_visible(features, hidden), logits)
        assert not torch.allclose(model.classify_mutants(features.flip(1), image, hidden), logits)
    assert isinstance(model, GridModel)
    assert isinstance(model, TrainableModel)


def test_a_model_of_hugging_face_trains_and_certifies(command: Command, hf_dinov3: Any, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    hf_dinov3.DINOv3(5, (224, 224), 32, 2, 2).vit.save_pretrained(weights)
    few = ["dataset.limit=16", "recipe.batch_size=8", "trainer.max_epochs=1", "callbacks.mutant_predictions.images=2"]
    small = ["dataset=digits", "trainer=cpu", "model.dim=32", "model.depth=2", "model.heads=2"]
    for words in commands(ROOT / "docs/howto/backbone.md"):
        if "model=hf_dinov3" in words:
            here = [word for word in words if word.partition("=")[0] not in ("dataset", "model.pretrained")]
            more = [*few, f"model.pretrained={weights}"] if words[0] == "train" else ["dataset.limit=2"]
            command(*here, *small, *more)
    (run,) = find_runs([Path("outputs")])
    assert run.result.mutants.sizes["windows"] == 196


def test_python_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The script of the page, on fewer images and with a smaller model."""
    monkeypatch.chdir(tmp_path)
    script = titled("python")["certify.py"]
    for whole, few in (
        ('DatasetSettings("digits")', 'DatasetSettings("digits", limit=8)'),
        ("epochs=10, batch_size=32", "epochs=1, batch_size=8"),
        ('"embed_dim": 64', '"embed_dim": 16'),
    ):
        assert whole in script
        script = script.replace(whole, few)
    exec(compile(script, "certify.py", "exec"), {"__name__": "__main__"})
    output = capsys.readouterr().out
    assert "digits, vit_srf, patch 32 px, 8 images" in output
    assert "of the images are certified" in output
    assert {run.result.defender for run in find_runs([Path("outputs")])} == {"undefended", "patchcure", "mrcert"}


def test_the_batch_script_is_a_script() -> None:
    subprocess.run(["bash", "-n"], input=titled("slurm")["train.sbatch"], text=True, check=True)


def test_patchcure_is_converted_with_these_options(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The command of the page gets as far as to the file, which isn't here."""
    with pytest.raises(SystemExit) as stopped:
        command(*next(words for words in commands(ROOT / "docs/howto/patchcure.md") if words[0] == "convert"))
    assert stopped.value.code == 1
    assert "theirs.pth.tar" in capsys.readouterr().err
