"""Attacked sets: every pixel comes back, and nothing unfinished or foreign passes for one."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from mrcert_pl.data import AttackedDataModule, AttackedSet, describe
from mrcert_pl.errors import ConfigurationError, DataError, MRCertError

HEADER = {"dataset": "digits", "classes": ["a", "b"], "images": [3, 7], "quantize": True, "attack": {"patch": (2, 3)}}
PICTURES = {key: torch.randint(256, (3, 6, 8), generator=torch.Generator().manual_seed(key)) / 255 for key in (3, 7)}


def facts(key: int) -> dict:
    return {"id": key, "label": key % 2, "path": f"digits/{key}", "loss": 0.5 * key}


def finished(folder: Path, **changes: object) -> Path:
    attacked = AttackedSet(folder, HEADER | changes)
    for key in (7, 3):
        attacked.add(PICTURES[key], facts(key))
    return folder


def served(folder: Path) -> AttackedDataModule:
    return AttackedDataModule(folder, name="attacked", image_px=(6, 8), batch_size=2)


def test_pictures_come_back_to_the_bit_as_test_images(tmp_path: Path) -> None:
    data = served(finished(tmp_path))
    (batch,) = data.test_dataloader()
    assert torch.equal(batch.image, torch.stack([PICTURES[3], PICTURES[7]]))
    assert batch.id.tolist() == [3, 7]
    assert batch.label.tolist() == [1, 1]
    assert [*batch.path] == ["digits/3", "digits/7"]
    assert data.description.name == "digits, attacked"
    assert data.description.attacked == "digits"
    assert Image.open(tmp_path / "3.png").size == (8, 6)
    with pytest.raises(DataError, match="no images to train on"):
        data.split("train")


def test_numbers_off_the_grid_come_back_to_the_bit(tmp_path: Path) -> None:
    attacked = AttackedSet(tmp_path, HEADER | {"quantize": False})
    numbers = {key: picture * 1.7 - 0.3 for key, picture in PICTURES.items()}
    for key, image in numbers.items():
        attacked.add(image, facts(key))
    (batch,) = served(tmp_path).test_dataloader()
    assert torch.equal(batch.image, torch.stack([numbers[3], numbers[7]]))
    with pytest.raises(DataError, match=r"\[3, 6, 8\] .*\[3, 6, 6\]"):
        AttackedDataModule(tmp_path, name="attacked", image_px=(6, 6)).split("test")[0]


def test_its_classes_are_its_own(tmp_path: Path) -> None:
    assert describe("attacked", finished(tmp_path)).classes == ("a", "b")


def test_a_set_goes_on_where_it_stopped_and_the_files_are_the_same(tmp_path: Path) -> None:
    finished(tmp_path / "whole")
    AttackedSet(tmp_path / "parts", HEADER).add(PICTURES[3], facts(3))
    with pytest.raises(DataError, match=r"1 of the 2 images .* have not been attacked yet; mrcert attack store="):
        served(tmp_path / "parts").split("test")
    later = AttackedSet(tmp_path / "parts", HEADER)
    assert later.ids() == {3}
    later.add(PICTURES[7], facts(7))
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == ["3.png", "7.png", "attack.json"]
    for name in names:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_set_of_something_else_is_refused(tmp_path: Path) -> None:
    finished(tmp_path, made_from={"checkpoint": "a"})
    with pytest.raises(DataError, match=r"quantize: True in the set, False here"):
        AttackedSet(tmp_path, HEADER | {"quantize": False})
    with pytest.raises(DataError, match=r"attack: \{'patch': \[2, 3\]\} in the set, \{'patch': \[4, 4\]\} here"):
        AttackedSet(tmp_path, HEADER | {"attack": {"patch": (4, 4)}})
    assert AttackedSet(tmp_path, HEADER | {"made_from": {"checkpoint": "moved"}}).ids() == {3, 7}


@pytest.mark.parametrize("ending", ["png", "safetensors"])
def test_a_damaged_file_is_named(tmp_path: Path, ending: str) -> None:
    folder = finished(tmp_path, quantize=ending == "png")
    file = folder / f"7.{ending}"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DataError, match=rf"7\.{ending} is damaged"):
        served(folder).split("test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no attacked set"),
        ("{", "is damaged"),
        ("[]", "of this version"),
        ('{"format": 9}', "of this version"),
    ],
)
def test_what_is_no_set(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "attack.json").write_text(text)
    with pytest.raises(MRCertError, match=message):
        served(tmp_path)


def test_without_a_folder() -> None:
    with pytest.raises(ConfigurationError, match=r"dataset=attacked needs dataset\.path"):
        AttackedDataModule(name="attacked")
