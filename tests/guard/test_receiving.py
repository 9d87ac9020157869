"""Bodies of requests, as the server receives them."""

import asyncio
from typing import Any

import pytest

from mrcert_pl.errors import ConfigurationError

pytest.importorskip("litserve", reason="LitServe is not installed: pip install 'mrcert_pl[serve]'")

from fastapi import FastAPI, HTTPException, Request

from mrcert_pl.guard.receiving import Limits, Upload, received


def request(chunks: list[bytes], kind: str, limits: Limits | None = None, pause: float = 0) -> Request:
    """A request whose body arrives in chunks, with a pause before each; without chunks the client goes away."""
    app = FastAPI()
    app.state.limits = limits or Limits()
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    scope = {"type": "http", "app": app, "headers": [(b"content-type", kind.encode())], "client": ("10.0.0.1", 1)}
    return Request(scope, receive)


@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/PNG", "application/octet-stream"])
def test_an_image_is_the_body(kind: str) -> None:
    assert asyncio.run(received(request([b"ab", b"c"], kind), map=True)) == Upload(b"abc", True)


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "Multipart/Form-Data; Boundary=x"])
def test_an_image_is_the_file_of_a_form(kind: str) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\nabc\r\n--x--\r\n'
    assert asyncio.run(received(request([form], kind))) == Upload(b"abc", False)


@pytest.mark.parametrize(
    ("chunks", "kind", "settings", "status", "detail"),
    [
        ([b"abc"], "text/plain", {}, 415, "send the image as the body"),
        ([b"abc"], "", {}, 415, "send the image as the body"),
        ([b"abc"], "multipart/form-data", {}, 415, "no boundary"),
        ([b"abc"], "multipart/form-data; boundary=x", {}, 422, "no file"),
        ([b"abc"], "image/png", {"max_megabytes": 2e-6}, 413, "at most 2 bytes are accepted"),
        ([b"ab", b"c"], "image/png", {"max_megabytes": 2e-6}, 413, "at most 2 bytes are accepted"),
        ([b"a"] * 100, "image/png", {"max_megabytes": 2e-6}, 413, "at most 2 bytes are accepted"),
        ([], "image/png", {}, 499, "the client closed the connection"),
    ],
)
def test_bodies_that_are_refused(
    chunks: list[bytes], kind: str, settings: dict[str, Any], status: int, detail: str
) -> None:
    with pytest.raises(HTTPException) as error:
        asyncio.run(received(request(chunks, kind, Limits(**settings))))
    assert error.value.status_code == status
    assert detail in str(error.value.detail)


def test_a_slow_upload_is_ended() -> None:
    with pytest.raises(HTTPException, match=r"the upload took more than 0\.01 seconds") as error:
        asyncio.run(received(request([b"a"], "image/png", Limits(body_timeout=0.01), pause=5)))
    assert error.value.status_code == 408


@pytest.mark.parametrize("name", ["max_megabytes", "max_megapixels", "max_requests", "body_timeout", "timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "many", None, True])
def test_limits_are_positive(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be more than 0"):
        Limits(**{name: value})


def test_requests_are_whole() -> None:
    with pytest.raises(ConfigurationError, match=r"max_requests must be a whole number, got 1\.5"):
        Limits(max_requests=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [5, -0.1, float("nan"), "many", None, True])
def test_a_batch_waits_less_than_a_request(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="batch_timeout must be from 0 to below timeout=5, got "):
        Limits(timeout=5, batch_timeout=value)


@pytest.mark.parametrize("formats", [("PNG", "JPG"), ("EPS",), (1,)])
def test_formats_are_those_that_are_decoded(formats: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match=rf"unknown format '?{formats[-1]}'?; .*JPEG"):
        Limits(formats=formats)
    for none in ((), None, 3, "JPEG"):
        with pytest.raises(ConfigurationError, match=r"formats must name at least one of: .*JPEG"):
            Limits(formats=none)  # type: ignore[arg-type]
    Limits(formats=("jpeg", "GIF"))
