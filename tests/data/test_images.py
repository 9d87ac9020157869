import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrcert_pl.data.images import ImageError, read_image, rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.jpg"), ("CMYK", "a.jpg"), ("RGBA", "a.png"), ("LA", "a.png"), ("P", "a.gif"), ("1", "a.png")],
)
def test_pictures_of_any_mode_become_rgb(mode: str, name: str, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.mode == "RGB"
    assert image.size == (30, 20)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    expected = np.arange(256).reshape(16, 16)
    assert np.array_equal(np.asarray(read_image(tmp_path / "deep.png"))[..., 0], expected)
    assert np.array_equal(np.asarray(rgb(Image.fromarray(values.astype(np.int32))))[..., 2], expected)


def test_transparency_of_a_palette_is_dropped_without_a_warning() -> None:
    image = Image.fromarray(PIXELS).quantize(16)
    opaque = np.asarray(image.convert("RGB"))
    file = io.BytesIO()
    image.save(file, format="PNG", transparency=bytes(range(16)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(np.asarray(rgb(Image.open(file))), opaque)


def test_the_rotation_of_exif_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / "turned.png")), PIXELS)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    intact = io.BytesIO()
    Image.fromarray(PIXELS).save(intact, format="JPEG")
    Image.fromarray(PIXELS.astype(np.float32)[..., 0]).save(tmp_path / "float.tif")
    Image.fromarray(PIXELS.astype(np.int32)[..., 0] * 1000).save(tmp_path / "deep.tif")
    (tmp_path / "truncated.jpg").write_bytes(intact.getvalue()[:-300])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    for name, reason in (
        ("float.tif", "floating-point"),
        ("deep.tif", "whole numbers from"),
        ("truncated.jpg", "truncated"),
        ("text.jpg", "cannot identify"),
        ("empty.jpg", r"empty \(0 bytes\)"),
        ("none.jpg", "missing"),
    ):
        with pytest.raises(ImageError, match=reason) as error:
            read_image(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))


def test_a_picture_that_is_too_large_is_not_called_damaged(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match=r"huge\.png is larger than Pillow opens .*; save it with fewer pixels"):
        read_image(tmp_path / "huge.png")
