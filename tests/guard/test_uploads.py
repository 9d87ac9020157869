"""Uploads: images are decoded, everything else is refused with a status and a reason."""

import io

import numpy as np
import pytest
from PIL import Image

from mrcert_pl.guard.uploads import UploadError, file_in_form, image_in

FORMATS = ("JPEG", "PNG")
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(kind: str = "PNG", mode: str = "RGB", rows: int = 20) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS[:rows]).convert(mode).save(file, kind)
    return file.getvalue()


def blank(width: int, height: int) -> bytes:
    """A small file of many pixels."""
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "LA"), ("PNG", "P"), ("JPEG", "CMYK")])
def test_images_are_decoded(kind: str, mode: str) -> None:
    image = image_in(encoded(kind, mode), FORMATS, max_pixels=600)
    assert (image.mode, image.size) == (mode, (30, 20))
    assert image.getbbox()


def test_the_pixels_are_those_of_the_image() -> None:
    assert np.array_equal(np.asarray(image_in(encoded(), FORMATS, max_pixels=600)), PIXELS)


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"", 422, "the upload is empty"),
        (b"no image", 415, "no intact image in one of the formats JPEG, PNG"),
        (encoded("GIF", "P"), 415, "no intact image in one of the formats JPEG, PNG"),
        (encoded()[:20], 415, "no intact image"),
        (encoded("JPEG", rows=16)[:-300], 422, "the image is damaged: image file is truncated"),
        (blank(20_000, 20_000), 413, "more than the 599 pixels that are accepted"),
        (encoded(), 413, "the image has 30 x 20 pixels; at most 599 are accepted"),
        (blank(580, 1), 422, "sides in a ratio of 100:1 at most, got 580 x 1"),
    ],
    ids=["empty", "text", "gif", "header", "truncated", "bomb", "large", "long"],
)
def test_what_is_refused(content: bytes, status: int, detail: str) -> None:
    with pytest.raises(UploadError, match=detail) as refused:
        image_in(content, FORMATS, max_pixels=599)
    assert refused.value.status == status
    assert "BytesIO" not in refused.value.detail


def form(*parts: bytes, boundary: bytes = b"xyz") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


FIELD = b'Content-Disposition: form-data; name="map"\r\n\r\ntrue'
FILE = b'Content-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'


@pytest.mark.parametrize("content", [encoded(), b"\r\n--xy\r\n\r\n\n\r", b""], ids=["image", "line ends", "empty"])
@pytest.mark.parametrize(
    "header", ["multipart/form-data; boundary=xyz", 'multipart/form-data; boundary="xyz"; charset=x']
)
def test_the_file_of_a_form_is_returned_byte_for_byte(content: bytes, header: str) -> None:
    assert file_in_form(form(FIELD, FILE + content, FIELD), header) == content


@pytest.mark.parametrize(
    ("content", "header", "status", "detail"),
    [
        (form(FILE), "multipart/form-data", 415, "no boundary"),
        (form(FIELD), "multipart/form-data; boundary=xyz", 422, "the form has no file"),
        (form(FILE), "multipart/form-data; boundary=other", 422, "the form has no file"),
        (b"--xyz\r\n" + FILE + b"cut", "multipart/form-data; boundary=xyz", 422, "the form has no file"),
        (b"", "multipart/form-data; boundary=xyz", 422, "the form has no file"),
        (form(FILE, FIELD, FILE), "multipart/form-data; boundary=xyz", 422, "the form has 2 files; send one image"),
    ],
    ids=["boundary", "field", "other boundary", "truncated", "empty", "two"],
)
def test_forms_without_one_file_are_refused(content: bytes, header: str, status: int, detail: str) -> None:
    with pytest.raises(UploadError, match=detail) as refused:
        file_in_form(content, header)
    assert refused.value.status == status
