import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mrcert_pl.data.images import ImageError, check_size, image_suffixes, is_image_file, read_image, rgb, upright
from mrcert_pl.errors import ConfigurationError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.jpg"), ("CMYK", "a.jpg"), ("RGBA", "a.png"), ("LA", "a.png"), ("P", "a.gif"), ("1", "a.png")],
)
def test_images_of_any_mode_become_rgb(mode: str, name: str, tmp_path: Path) -> None:
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


def test_the_rotation_of_exif_is_applied_on_request_only(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.png"
    Image.fromarray(PIXELS).save(file, exif=exif)
    assert np.array_equal(np.asarray(read_image(file)), PIXELS)
    assert np.array_equal(np.asarray(read_image(file, exif="ignore")), PIXELS)
    assert np.array_equal(np.asarray(read_image(file, exif="apply")), np.rot90(PIXELS, -1))
    with pytest.raises(ConfigurationError, match="apply, ignore"):
        read_image(file, exif="turn")  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_that_of_pillow(orientation: int) -> None:
    image = Image.fromarray(PIXELS)
    image.getexif()[0x0112] = orientation
    assert np.array_equal(np.asarray(upright(image)), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("exif", [b"Exif", b"Exif\0\0garbage!", b"Exif\0\0MM\0*"])
def test_damaged_exif_data_states_no_rotation(name: str, exif: bytes, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name, exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / name, "apply")), np.asarray(read_image(tmp_path / name)))


def test_a_photo_is_rotated_whatever_else_its_exif_data_says(tmp_path: Path) -> None:
    """A width of -1 px beside the orientation: Pillow reads it, and can't write it again."""
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    width = struct.pack(">HHIhH", 0x0100, 8, 1, -1, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + orientation + width + bytes(4)
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    stored = np.asarray(read_image(tmp_path / "a.jpg"))
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.jpg", "apply")), np.rot90(stored, -1))


@pytest.mark.parametrize("size", [(10_000, 1), (1, 101)])
def test_narrow_images_are_refused(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("1", size).save(tmp_path / "narrow.png")
    with pytest.raises(ImageError, match=rf"narrow\.png: .*100:1 at most, got {size[0]:,} x {size[1]:,}$"):
        read_image(tmp_path / "narrow.png")


def test_the_number_of_pixels_is_bounded() -> None:
    check_size((13_377, 13_377))
    for size, message in (((13_378, 13_378), "178,956,970 pixels"), ((0, 5), "it is empty: 0 x 5 pixels")):
        with pytest.raises(ImageError, match=message):
            check_size(size)


def test_postscript_is_not_interpreted(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="cannot identify"):
        read_image(tmp_path / "a.jpg")
    assert not is_image_file("a.eps")


def test_heic_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    if ".heic" in image_suffixes():
        pytest.skip("pillow-heif is installed")
    (tmp_path / "a.heic").write_bytes(b"heic")
    with pytest.raises(ImageError, match=r"a\.heic can't be read as an image: HEIC needs the package pillow-heif"):
        read_image(tmp_path / "a.heic")


def test_suffixes() -> None:
    named = {name: is_image_file(name) for name in ("a.JPEG", "b.gif", "c.webp", ".d.png", "e.txt", "f", "g.pdf")}
    assert named == {
        "a.JPEG": True,
        "b.gif": True,
        "c.webp": True,
        ".d.png": False,
        "e.txt": False,
        "f": False,
        "g.pdf": False,
    }


def test_damaged_files_are_named(tmp_path: Path) -> None:
    intact = io.BytesIO()
    Image.fromarray(PIXELS).save(intact, format="JPEG")
    Image.fromarray(PIXELS.astype(np.float32)[..., 0]).save(tmp_path / "float.tif")
    Image.fromarray(PIXELS.astype(np.int32)[..., 0] * 1000).save(tmp_path / "deep.tif")
    (tmp_path / "truncated.jpg").write_bytes(intact.getvalue()[:-300])
    (tmp_path / "text.jpg").write_text("not an image")
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


def test_an_image_that_is_too_large_is_not_called_damaged(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match=r"huge\.png is larger than Pillow opens .*; save it with fewer pixels"):
        read_image(tmp_path / "huge.png")


def test_heic_is_upright(tmp_path: Path) -> None:
    """The container's rotation is applied by the decoder, so that ``exif`` changes nothing and nothing turns twice."""
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: pip install 'mrcert_pl[heic]'")
    assert ".heic" in image_suffixes()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60), "red").save(tmp_path / "a.heic", exif=exif.tobytes())
    assert is_image_file("a.HEIC")
    assert {read_image(tmp_path / "a.heic", exif=way).size for way in ("ignore", "apply")} == {(60, 80)}
