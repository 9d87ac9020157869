"""The how-to on deployment is followed; the steps of the Dockerfile are checked as far as they go without Docker."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hydra import compose, initialize_config_dir
from pages import ROOT, titled, write_files
from PIL import Image

from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import describe_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the page, a classifier, a checkpoint and a photo."""
    write_files("deploy", tmp_path)
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / "classifier.pt")
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for module in ("service", "predict", "publish"):
        monkeypatch.delitem(sys.modules, module, raising=False)


@pytest.mark.usefixtures("folder")
def test_a_classifier_is_guarded(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("predict")
    first, verdict = capsys.readouterr().out.splitlines()
    values = json.loads(verdict)
    assert first.startswith(f"{values['decision']} {values['name']}")
    assert values["name"] in ("stop", "yield", "other")
    assert values["mutants_evaluated"] <= 46


@pytest.mark.usefixtures("folder")
def test_the_service_serves_its_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = pytest.importorskip("mrcert_pl.guard.serving", reason="LitServe is not installed")
    calls: list[Any] = []
    monkeypatch.setattr(serving, "serve", lambda make_guard, **settings: calls.append((make_guard, settings)))
    monkeypatch.setenv("HOST", "0.0.0.0")
    exec(compile(titled("deploy")["service.py"], "service.py", "exec"), {"__name__": "__main__"})
    ((make_guard, settings),) = calls
    assert settings == {"host": "0.0.0.0"}
    assert make_guard("cpu").class_names == ("stop", "yield", "other")


def test_a_trained_guard_is_published(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    model = ViTSRF("vit_tiny_patch16_224", num_classes=2, split=1, backbone_args=small)
    origin = {**describe_model(model), "classes": ["stop", "yield"], "patch": "32"}
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "mrcert": origin}, folder / "best.ckpt")
    importlib.import_module("publish")
    assert "('stop', 'yield')" in capsys.readouterr().out
    assert "62 of 100" in (folder / "guard/README.md").read_text()


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each instruction of the Dockerfile."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_files_of_the_image_are_enough_to_build_the_wheel(tmp_path: Path) -> None:
    for name, arguments in instructions():
        if name == "COPY":
            *sources, target = arguments.split()
            for source in map(Path, sources):
                place = tmp_path / (source if target == "./" else target)
                (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, place)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert "mrcert_pl/conf/serve.yaml" in names
    assert "mrcert_pl/guard/serving.py" in names


def test_the_image_serves_a_mounted_checkpoint() -> None:
    found = dict(instructions())
    command, subcommand, *overrides = json.loads(found["CMD"])
    assert (command, subcommand) == ("mrcert", "serve")
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        cfg = compose("serve", overrides=overrides)
    assert cfg.checkpoint.startswith("/models/")
    assert cfg.host == "0.0.0.0"
    assert found["EXPOSE"] == str(cfg.port)
    assert found["USER"] == "guard"
    health = json.loads(re.sub(r"^.*?CMD ", "", found["HEALTHCHECK"]))
    assert f":{cfg.port}/health" in health[-1]
    compile(health[-1], "health", "exec")


def test_torch_and_torchvision_come_from_one_index() -> None:
    (install,) = [text for name, text in instructions() if name == "RUN" and "torchvision" in text]
    assert "torch torchvision --index-url https://download.pytorch.org/whl/cpu" in install
