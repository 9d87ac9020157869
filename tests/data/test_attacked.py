"""Attacked sets: every pixel comes back, and nothing unfinished or foreign passes for one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file
from torchvision.transforms.functional import to_pil_image

from mrcert_pl.data import AttackedSet, AttackedSetHeader, ImageDataModule, describe
from mrcert_pl.errors import ConfigurationError, DataError, MRCertError

HEADER = AttackedSetHeader(
    source="digits",
    classes=("a", "b"),
    images=(3, 7),
    quantize=True,
    patch="2x3",
    model_name="vit_srf",
    model_kind="vit_srf",
    model_settings={},
    checkpoint="checkpoints/best.ckpt",
    attack={"patch": (2, 3)},
)
IMAGES = {
    image_id: torch.randint(256, (3, 6, 8), generator=torch.Generator().manual_seed(image_id)) / 255
    for image_id in (3, 7)
}


def facts(image_id: int, **changes: object) -> dict:
    known = {
        "id": image_id,
        "label": image_id % 2,
        "path": f"digits/{image_id}",
        "placement": {"top": 4, "left": 5, "height": 2, "width": 3},
        "loss": 0.5 * image_id,
        "clean_prediction": 1,
        "prediction": 0,
        "success": True,
        "start": 0,
        "step": 4,
    }
    return known | changes


def finished(folder: Path, **changes: object) -> Path:
    attacked = AttackedSet(folder, replace(HEADER, **changes))  # type: ignore[arg-type]
    for image_id in (7, 3):
        attacked.add(IMAGES[image_id], facts(image_id))
    return folder


def served(folder: Path) -> ImageDataModule:
    return ImageDataModule("attacked", folder, image_px=(6, 8), batch_size=2)


def test_images_come_back_to_the_bit_as_test_images(tmp_path: Path) -> None:
    data = served(finished(tmp_path))
    (batch,) = data.test_dataloader()
    assert torch.equal(batch.image, torch.stack([IMAGES[3], IMAGES[7]]))
    assert batch.id.tolist() == [3, 7]
    assert batch.label.tolist() == [1, 1]
    assert [*batch.path] == ["digits/3", "digits/7"]
    assert data.description.name == "digits, attacked"
    assert data.description.attacked == "digits"
    with Image.open(tmp_path / "3.png") as written:
        assert written.size == (8, 6)
    with pytest.raises(DataError, match="no training and validation images"):
        data.split("train")


def test_numbers_off_the_grid_come_back_to_the_bit(tmp_path: Path) -> None:
    attacked = AttackedSet(tmp_path, replace(HEADER, quantize=False))
    numbers = {image_id: image * 1.7 - 0.3 for image_id, image in IMAGES.items()}
    for image_id, image in numbers.items():
        attacked.add(image, facts(image_id))
    (batch,) = served(tmp_path).test_dataloader()
    assert torch.equal(batch.image, torch.stack([numbers[3], numbers[7]]))
    with pytest.raises(DataError, match=r"\[3, 6, 8\] .*\[3, 6, 6\]"):
        ImageDataModule("attacked", tmp_path, image_px=(6, 6)).split("test")[0]


def test_its_classes_are_its_own(tmp_path: Path) -> None:
    assert describe("attacked", finished(tmp_path)).classes == ("a", "b")


def test_a_set_continues_where_it_stopped_and_the_files_are_the_same(tmp_path: Path) -> None:
    finished(tmp_path / "whole")
    AttackedSet(tmp_path / "parts", HEADER).add(IMAGES[3], facts(3))
    with pytest.raises(DataError, match=r"1 of the 2 images .* have not been attacked yet; mrcert attack store="):
        served(tmp_path / "parts").split("test")
    later = AttackedSet(tmp_path / "parts", HEADER)
    assert later.ids() == {3}
    later.add(IMAGES[7], facts(7))
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == ["3.png", "7.png", "attack.json"]
    for name in names:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_set_of_something_else_is_refused(tmp_path: Path) -> None:
    finished(tmp_path)
    with pytest.raises(DataError, match=r"quantize: True in the set, False here"):
        AttackedSet(tmp_path, replace(HEADER, quantize=False))
    with pytest.raises(DataError, match=r"attack\.patch: \[2, 3\] in the set, \[4, 4\] here"):
        AttackedSet(tmp_path, replace(HEADER, attack={"patch": (4, 4)}))
    assert AttackedSet(tmp_path, replace(HEADER, checkpoint="moved")).ids() == {3, 7}


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
        ("{", "Invalid JSON.*make the set again"),
        ("[]", "must be an object"),
        ('{"format": 9}', "format: must be 1, got 9"),
    ],
)
def test_files_that_are_no_header(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "attack.json").write_text(text)
    with pytest.raises(MRCertError, match=message):
        served(tmp_path)


def test_without_a_folder() -> None:
    with pytest.raises(ConfigurationError, match=r"dataset=attacked needs dataset\.path"):
        ImageDataModule("attacked")


def rewritten(folder: Path, image_id: int, text: str) -> None:
    """Replace the facts in a PNG file."""
    info = PngInfo()
    info.add_text("mrcert", text)
    to_pil_image(IMAGES[image_id]).save(folder / f"{image_id}.png", pnginfo=info)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 2}, "label: must be less than 2, got 2"),
        ({"path": "digits/3"}, "has the image digits/3 twice, under the ids 3 and 7"),
        (
            {"placement": {"top": 5, "left": 5, "height": 2, "width": 3}},
            r"\(5, 5, 2, 3\) is not inside the image of 6 x 8",
        ),
    ],
)
def test_hostile_facts(changes: dict, message: str, tmp_path: Path) -> None:
    folder = finished(tmp_path)
    rewritten(folder, 7, json.dumps(facts(7, **changes)))
    with pytest.raises(DataError, match=message) as error:
        served(folder).split("test")
    first = str(error.value).splitlines()[0]
    assert str(folder) in first


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '"facts"'])
def test_facts_that_are_none(text: str, tmp_path: Path) -> None:
    folder = finished(tmp_path)
    rewritten(folder, 7, text)
    with pytest.raises(DataError, match=r"7\.png"):
        served(folder).split("test")


def test_one_file_under_two_ids_is_refused(tmp_path: Path) -> None:
    """Each image would not be counted once."""
    folder = finished(tmp_path)
    (folder / "7.png").write_bytes((folder / "3.png").read_bytes())
    with pytest.raises(DataError, match=r"7\.png: it is the image 3 under the id 7"):
        served(folder).split("test")


def test_a_second_file_for_an_id_is_not_read(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    for name in ("03.png", "7.safetensors", "٣.png"):
        (folder / name).write_bytes((folder / "3.png").read_bytes())
    assert AttackedSet(folder, HEADER).ids() == {3, 7}
    assert len(served(folder).split("test")) == 2


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(4, 6, 8), r"shape \[3, height, width\], got \[4, 6, 8\]"),
        (torch.full((3, 6, 8), torch.nan), "finite floating-point"),
        (torch.zeros(3, 6, 8, dtype=torch.int64), "finite floating-point"),
        (torch.zeros(3, 2, 1000), "is damaged"),
    ],
)
def test_hostile_tensors(image: torch.Tensor, message: str, tmp_path: Path) -> None:
    folder = finished(tmp_path, quantize=False)
    save_file({"image": image}, folder / "7.safetensors", metadata={"mrcert": json.dumps(facts(7))})
    with pytest.raises(DataError, match=message):
        served(folder).split("test")


def test_a_narrow_png_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    Image.new("L", (10_000, 1)).save(folder / "7.png")
    with pytest.raises(DataError, match=r"7\.png is damaged .*100:1"):
        served(folder).split("test")
