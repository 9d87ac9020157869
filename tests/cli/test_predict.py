"""``mrcert predict`` from end to end, on a model of a few thousand weights."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mrcert_pl.defenders import MRCert
from mrcert_pl.guard import Guard
from mrcert_pl.models import AblatedViT, ViTSRF
from mrcert_pl.models.checkpoints import describe_model

Command = Callable[..., None]
SMALL = {"embed_dim": 16, "depth": 2, "num_heads": 2}


def save(model: torch.nn.Module, path: str) -> None:
    origin = {**describe_model(model), "dataset": "digits", "classes": list("0123456789"), "patch": "16"}
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "mrcert": origin}, path)


@pytest.fixture
def ready(command: Command) -> Command:
    """Two checkpoints, and a folder with images of several kinds and two other files."""
    save(ViTSRF("vit_tiny_patch16_224", num_classes=10, split=1, backbone_args=SMALL), "srf.ckpt")
    save(AblatedViT("vit_tiny_patch16_224", num_classes=10, width=56, backbone_args=SMALL), "vote.ckpt")
    folder = Path("photos/sub")
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photos/colour.png")
    Image.fromarray(pixels).convert("CMYK").save("photos/sub/print.jpg")
    Path("photos/empty.png").touch()
    Path("photos/text.jpg").write_text("no image")
    return command


def rows_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]


def only_run() -> Path:
    (run,) = Path("outputs/predict").iterdir()
    return run


def test_a_folder_with_damaged_files(ready: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        ready("predict", "images=photos", "checkpoint=srf.ckpt", "examples=all", "batch_size=2")
    assert stopped.value.code == 3
    output = capsys.readouterr()
    assert "4 images: " in output.out
    assert "2 unreadable" in output.out
    assert "error: photos/empty.png can't be read as an image: it is empty" in output.err
    run = only_run()
    rows = rows_of(run)
    assert [row["image"] for row in rows] == [
        "photos/colour.png",
        "photos/empty.png",
        "photos/sub/print.jpg",
        "photos/text.jpg",
    ]
    assert [row["error"] is None for row in rows] == [True, False, True, False]
    assert {path.name for path in (run / "examples").iterdir()} == {"0000_colour.png", "0002_print.png"}
    assert (run / "config.yaml").is_file()
    with (run / "verdicts.csv").open(newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == [row["image"] for row in rows]


def test_the_verdicts_are_the_guards(ready: Command) -> None:
    settings = ["defender.margin=1e-6", "patch=32", "require=round_trip", "class_names=[a,b,c,d,e,f,g,h,i,j]"]
    ready("predict", "images=photos/colour.png", "checkpoint=srf.ckpt", *settings)
    (row,) = rows_of(only_run())
    defender = MRCert(certificate="sharp", margin=1e-6)
    (expected,) = Guard.from_checkpoint("srf.ckpt", defender, 32, class_names=list("abcdefghij"))(["photos/colour.png"])
    assert row["name"] in "abcdefghij"
    assert (row["decision"] == "abstain") == (not row["round_trip"])
    same = {name: row[name] for name in row if name not in ("decision", "seconds", "error", "margin")}
    assert same == {name: value for name, value in json.loads(json.dumps(expected.to_json())).items() if name in same}


def test_a_list_on_standard_input_a_pattern_and_a_vote(ready: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("photos/colour.png\n\nphotos/s*/*.jpg\n"))
    ready("predict", "images=-", "checkpoint=vote.ckpt", "defender=vot", "output=certificate")
    rows = rows_of(only_run())
    assert [row["image"] for row in rows] == ["photos/colour.png", "photos/sub/print.jpg"]
    assert all(row["decision"] in ("accept", "abstain") and row["witness"] is None for row in rows)


def test_finished_verdicts_are_kept_when_the_rest_fails(ready: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, seen = ViTSRF.encode, []

    def damaged(self: ViTSRF, images: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return encode(self, images) * (torch.nan if len(seen) == 2 else 1.0)

    monkeypatch.setattr(ViTSRF, "encode", damaged)
    with pytest.raises(SystemExit) as stopped:
        ready("predict", "images=[photos/colour.png,photos/sub]", "checkpoint=srf.ckpt", "batch_size=1")
    assert stopped.value.code == 1
    assert [row["image"] for row in rows_of(only_run())] == ["photos/colour.png"]


def test_names_of_files_do_not_control_the_terminal(ready: Command, capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd").mkdir()
    Path("odd/\x1b[8m.png").write_text("no image")
    Path("odd/\x1b[8m.txt").touch()
    with pytest.raises(SystemExit, match="3"):
        ready("predict", "images=[odd,photos/colour.png]", "checkpoint=srf.ckpt", "output=label")
    output = capsys.readouterr()
    assert "1 file without the suffix of an image skipped: odd/\\x1b[8m.txt" in output.out
    assert "error: odd/\\x1b[8m.png can't be read" in output.err
    assert "\x1b[8m" not in output.out + output.err


def test_ctrl_c_says_what_is_finished(
    ready: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode, seen = ViTSRF.encode, []

    def stopped(self: ViTSRF, images: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return encode(self, images)

    monkeypatch.setattr(ViTSRF, "encode", stopped)
    with pytest.raises(SystemExit, match="130"):
        ready("predict", "images=[photos/colour.png,photos/sub]", "checkpoint=srf.ckpt", "batch_size=1")
    output = capsys.readouterr()
    assert "; defender mrcert_sharp; " in output.out
    assert (
        output.err == f"\n1 of 2 images are finished: {only_run().absolute() / 'verdicts.csv'}\n\nstopped by Ctrl-C\n"
    )
    assert [row["image"] for row in rows_of(only_run())] == ["photos/colour.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give images=FOLDER, a file, a pattern"),
        (["images=photos"], "give checkpoint=FILE"),
        (["images=nowhere", "checkpoint=none.ckpt"], "there is no file or folder nowhere in /"),
        (["images=*.gif", "checkpoint=srf.ckpt"], r"no file matches \*\.gif"),
        (["images=photos", "checkpoint=none.ckpt"], "there is no checkpoint none.ckpt"),
        (["images=photos", "checkpoint=vote.ckpt"], "AblatedViT has none.*defender=vot"),
        (["images=photos", "checkpoint=srf.ckpt", "defender=vot"], "ViTSRF has none"),
        (["images=photos", "checkpoint=srf.ckpt", "output=labels"], "unknown output level 'labels'"),
        (["images=photos", "checkpoint=srf.ckpt", "require=label"], "choose one of: certificate, round_trip"),
        (["images=photos", "checkpoint=srf.ckpt", "examples=-1"], "a number of images to draw or all, got -1"),
        (["images=photos", "checkpoint=srf.ckpt", "examples=some"], "a number of images to draw or all, got 'some'"),
        (["images=photos", "checkpoint=srf.ckpt", "device=tpu"], "there is no device 'tpu' here"),
    ],
)
def test_bad_settings(ready: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        ready("predict", *arguments)
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "Traceback" not in error
    assert not Path("outputs/predict").exists() or not list(Path("outputs").rglob("verdicts.*"))
