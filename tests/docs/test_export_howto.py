"""The how-to on exported programs is followed."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import write_files
from PIL import Image

from mrcert_pl import Guard
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import describe_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the page, a checkpoint and a photo."""
    write_files("export", tmp_path)
    small = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    model = ViTSRF("vit_tiny_patch16_224", num_classes=5, split=1, backbone_args=small)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "mrcert": {**describe_model(model), "patch": "32"}}, tmp_path / "best.ckpt")
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for module in ("export", "labels", "exported", "guard_photo"):
        monkeypatch.delitem(sys.modules, module, raising=False)


@pytest.mark.usefixtures("folder")
def test_programs_certify_what_the_model_certifies(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("export")
    importlib.import_module("labels")
    assert 0 <= int(capsys.readouterr().out.split("[")[1].split("]")[0]) < 5
    exported = importlib.import_module("guard_photo").guard
    assert capsys.readouterr().out.strip()
    images = torch.rand(4, 3, 224, 224)
    whole = Guard.from_checkpoint("best.ckpt", "mrcert", device="cpu")
    tables = [guard.evaluator.evaluate(images, guard.defender.with_output("table")) for guard in (whole, exported)]
    assert len(tables[0].mutants) > 100
    assert torch.equal(tables[0].labels, tables[1].labels)
    assert len(tables[0].labels.unique()) > 1
