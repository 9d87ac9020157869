"""Uploads: pictures are decoded, everything else is refused with a status and a reason."""

import io

import numpy as np
import pytest
from PIL import Image

from mrcert_pl.guard.uploads import UploadError, picture_in

FORMATS = ("JPEG", "PNG")
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(kind: str = "PNG", mode: str = "RGB", rows: int = 20) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS[:rows]).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "LA"), ("PNG", "P"), ("JPEG", "CMYK")])
def test_pictures_become_rgb(kind: str, mode: str) -> None:
    picture = picture_in(encoded(kind, mode), FORMATS, max_pixels=600)
    assert (picture.mode, picture.size) == ("RGB", (30, 20))


def test_the_pixels_are_those_of_the_picture() -> None:
    assert np.array_equal(np.asarray(picture_in(encoded(), FORMATS, max_pixels=600)), PIXELS)


def bomb() -> bytes:
    """A small file with 400 million pixels."""
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"", 422, "the upload is empty"),
        (b"no picture", 415, "no intact picture in one of the formats JPEG, PNG"),
        (encoded("GIF", "P"), 415, "no intact picture in one of the formats JPEG, PNG"),
        (encoded()[:20], 415, "no intact picture"),
        (encoded("JPEG", rows=16)[:-300], 422, "the picture is damaged: image file is truncated"),
        (bomb(), 413, "more than the 599 pixels that are taken"),
        (encoded(), 413, "the picture has 30 x 20 pixels; at most 599 are taken"),
    ],
    ids=["empty", "text", "gif", "header", "truncated", "bomb", "large"],
)
def test_what_is_refused(content: bytes, status: int, detail: str) -> None:
    with pytest.raises(UploadError, match=detail) as refused:
        picture_in(content, FORMATS, max_pixels=599)
    assert refused.value.status == status
    assert "BytesIO" not in refused.value.detail
