"""Inputs of a guard: one image in every accepted form, and the refusal of all others."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mrcert_pl.data import ImageError
from mrcert_pl.errors import DataError
from mrcert_pl.guard.sources import listed, photo_or_tensor

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return png(Image.fromarray(PIXELS), exif=exif)


def test_an_image_is_the_same_from_every_source(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    path = tmp_path / "photo.png"
    path.write_bytes(png(image))
    for source in (path, str(path), path.read_bytes(), image, PIXELS, Image.open(path)):
        found = photo_or_tensor(source, "apply")
        assert isinstance(found, Image.Image)
        assert np.array_equal(np.asarray(found), PIXELS)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 4)])
def test_arrays_of_every_number_of_channels(shape: tuple[int, ...]) -> None:
    found = photo_or_tensor(np.full(shape, 7, dtype=np.uint8), "apply")
    assert isinstance(found, Image.Image)
    assert (found.mode, found.size) == ("RGB", (30, 20))
    assert found.getpixel((3, 3)) == (7, 7, 7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_point_values_become_float32(dtype: torch.dtype) -> None:
    image = torch.rand(3, 8, 8).to(dtype)
    found = photo_or_tensor(image, "apply")
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    assert torch.equal(found, image.float())
    if dtype in (torch.float32, torch.float64):
        assert torch.equal(photo_or_tensor(image.numpy(), "apply"), found)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_rotation_is_applied_or_ignored(orientation: int) -> None:
    upright = {3: np.rot90(PIXELS, 2), 6: np.rot90(PIXELS, -1), 8: np.rot90(PIXELS), 1: PIXELS, 2: PIXELS[:, ::-1]}
    applied = np.asarray(photo_or_tensor(turned(orientation), "apply"))
    assert applied.shape == (PIXELS.shape if orientation < 5 else (30, 20, 3))
    if orientation in upright:
        assert np.array_equal(applied, upright[orientation])
    assert np.array_equal(np.asarray(photo_or_tensor(turned(orientation), "ignore")), PIXELS)


def test_damaged_exif_data_states_no_rotation() -> None:
    assert np.array_equal(np.asarray(photo_or_tensor(png(Image.fromarray(PIXELS), exif=b"Exif"), "apply")), PIXELS)


def closed() -> Image.Image:
    image = Image.open(io.BytesIO(png(Image.fromarray(PIXELS))))
    image.close()
    return image


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (closed(), "the image can't be decoded"),
        (b"", r"the image can't be decoded: it is empty \(0 bytes\)"),
        (b"text", "the image can't be decoded: it is in no format that Pillow reads$"),
        (png(Image.fromarray(PIXELS))[:-200], "the image can't be decoded"),
        ("missing.png", "missing.png is missing"),
        (
            png(Image.new("1", (10_000, 1))),
            "sides in a ratio of 100:1 at most, got 10,000 x 1",
        ),
        (Image.new("RGB", (0, 5)), "it is empty: 0 x 5 pixels"),
        (Image.new("F", (5, 5)), "floating-point numbers without a known range"),
        (np.zeros((1, 190, 3), dtype=np.uint8), "got 190 x 1"),
    ],
    ids=["closed", "empty", "text", "truncated", "missing", "long", "no pixels", "mode F", "long array"],
)
def test_images_that_cannot_be_read(source: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        photo_or_tensor(source, "apply")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (7, "must be a path, encoded bytes, a Pillow image, a NumPy array or a tensor, got int"),
        (torch.full((3, 8, 8), 255.0), r"values in \[0, 1\], not torch.float32 from 255 to 255"),
        (torch.full((3, 8, 8), torch.nan), "from nan to nan"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "not torch.uint8"),
        (torch.zeros(3, 8, 8, dtype=torch.complex64), "not torch.complex64"),
        (torch.zeros(3, 8, 8, device="meta"), "dense tensors with data, got torch.strided on the device meta"),
        (torch.zeros(3, 8, 8).to_sparse(), "dense tensors with data, got torch.sparse_coo"),
        (np.zeros((20, 30, 3), dtype=np.int64), r"an array must be uint8 .* got int64 \[20, 30, 3\]"),
        (np.zeros((3, 20, 30), dtype=np.uint8), r"an array must be uint8 .* got uint8 \[3, 20, 30\]"),
        (np.zeros((30,), dtype=np.float32), r"an array must be uint8"),
        (np.array([["a"]]), "an array must be uint8"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_values_that_are_no_image(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        photo_or_tensor(source, "apply")


def test_batches_are_listed() -> None:
    assert len(listed(torch.zeros(2, 3, 8, 8))) == 2
    assert len(listed(torch.zeros(3, 8, 8))) == 1
    assert len(listed(np.zeros((2, 8, 8, 3), dtype=np.uint8))) == 2
    assert len(listed(PIXELS)) == 1
    assert listed(b"x") == [b"x"]
    assert listed(["a", "b"]) == ["a", "b"]
    with pytest.raises(DataError, match="dense tensors"):
        listed(torch.zeros(2, 3, 8, 8, device="meta"))
    with pytest.raises(DataError, match="or a list of them, got int"):
        listed(7)  # type: ignore[arg-type]
