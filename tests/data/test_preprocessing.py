import numpy as np
import pytest
import torch
from PIL import Image

from mrcert_pl.data import ImageError, Preprocessing
from mrcert_pl.errors import ConfigurationError


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("resize", ["crop", "whole"])
@pytest.mark.parametrize("size", [(8, 8), (300, 200), (224, 224)])
def test_any_image_becomes_an_input_of_the_model(mode: str, resize: str, size: tuple[int, int]) -> None:
    image = Preprocessing((64, 48), resize)(Image.new("RGB", size, (255, 128, 0)).convert(mode))  # type: ignore[arg-type]
    assert image.shape == (3, 64, 48)
    assert image.dtype == torch.float32
    assert image.min() >= 0
    assert image.max() <= 1


def test_crop_keeps_the_centre_seven_eighths() -> None:
    """An image of 256 px is cropped to its inner 224 px without being resized."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    cropped = Preprocessing((224, 224), "crop")(Image.fromarray(pixels))
    assert np.array_equal(np.round(cropped.permute(1, 2, 0).numpy() * 255), pixels[16:240, 16:240])


def test_crop_takes_the_centre_of_the_longer_side() -> None:
    pixels = np.zeros((256, 512), dtype=np.uint8)
    pixels[:, 256:] = 255
    cropped = Preprocessing((224, 224), "crop")(Image.fromarray(pixels))
    assert cropped[:, :, :110].max() < 0.1
    assert cropped[:, :, 114:].min() > 0.9


def test_whole_keeps_the_border() -> None:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[:, 0] = 255
    assert Preprocessing((224, 224), "whole")(Image.fromarray(pixels))[:, :, 0].min() > 0.9


def test_an_unknown_resize_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="crop, whole"):
        Preprocessing((224, 224), "squash")  # type: ignore[arg-type]


def test_sixteen_bits_are_scaled() -> None:
    grey = Image.fromarray(np.full((8, 8), 0x8080, dtype=np.uint16))
    assert torch.allclose(Preprocessing((16, 16), "whole")(grey), torch.tensor(128 / 255))


def test_whole_leaves_images_of_the_right_size_alone() -> None:
    """Images that were cropped before are not resized once more."""
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    image = Preprocessing((224, 224), "whole")(Image.fromarray(pixels))
    assert np.array_equal((image.permute(1, 2, 0).numpy() * 255).round(), pixels)


def test_the_crop_is_that_of_the_whole_resized_image() -> None:
    """The pixels of every result in docs/results.md."""
    draws = np.random.default_rng(0)
    for height, width in draws.integers(5, 400, (30, 2)):
        image = Image.fromarray(draws.integers(0, 256, (height, width, 3), dtype=np.uint8))
        scale = max(64 / (7 / 8) / height, 48 / (7 / 8) / width)
        larger = (round(width * scale), round(height * scale))
        left, top = (larger[0] - 48) // 2, (larger[1] - 64) // 2
        expected = image.resize(larger, Image.Resampling.BICUBIC).crop((left, top, left + 48, top + 64))
        cropped = Preprocessing((64, 48), "crop")(image)
        assert np.array_equal((cropped.permute(1, 2, 0).numpy() * 255).round(), np.asarray(expected))


@pytest.mark.parametrize("size", [(10_000, 1), (1, 10_000), (101, 1)])
@pytest.mark.parametrize("resize", ["crop", "whole"])
def test_a_narrow_image_is_refused_before_it_is_enlarged(size: tuple[int, int], resize: str) -> None:
    with pytest.raises(ImageError, match="sides in a ratio of 100:1 at most"):
        Preprocessing((224, 224), resize)(Image.new("L", size))  # type: ignore[arg-type]
