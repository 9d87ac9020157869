"""``mrcert serve``: a server in processes of its own, and a client that is not always polite."""

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_predict import SMALL, save

from mrcert_pl.guard import Guard
from mrcert_pl.models import ViTSRF

pytest.importorskip("litserve", reason="LitServe is not installed: pip install 'mrcert_pl[serve]'")
httpx = pytest.importorskip("httpx")

MAX_BYTES = 100_000
PNG = {"content-type": "image/png"}


def encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels).resize((100, 80)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    model = ViTSRF("vit_tiny_patch16_224", num_classes=10, split=1, backbone_args=SMALL)
    save(model, str(folder / "srf.ckpt"))
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator["httpx.Client"]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["checkpoint=srf.ckpt", f"port={port}", f"max_megabytes={MAX_BYTES / 1e6}", "batch_size=16"]
    log = folder / "log.txt"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "mrcert_pl.cli.serve", *settings, "max_megapixels=0.1"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Not ignored, as it is for jobs in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(client, server, log)
            yield client
        # As a terminal does it: every process gets the signal.
        os.killpg(server.pid, signal.SIGINT)
        assert server.wait(timeout=30) == 0
        assert "Traceback" not in log.read_text()
    finally:
        # Workers are in the session of the server.
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)


def wait_until_ready(client: "httpx.Client", server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            if client.get("/health").text == "ok":
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the server doesn't answer:\n{log.read_text()}")


def comparable(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in ("image", "seconds", "margin")}


def test_the_verdict_is_the_guards(client: "httpx.Client", folder: Path) -> None:
    response = client.post("/predict", content=picture(0), headers=PNG)
    assert response.status_code == 200
    (expected,) = Guard.from_checkpoint(folder / "srf.ckpt")([Image.open(io.BytesIO(picture(0)))])
    assert comparable(response.json()) == comparable(json.loads(json.dumps(expected.row())))

    with_map = client.post("/predict?map=true", content=picture(0), headers=PNG).json()
    (shown,) = with_map.pop("maps")
    assert comparable(with_map) == comparable(response.json())
    safe = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown))))
    assert np.array_equal(safe > 0, expected.maps[0].numpy())


def test_many_at_once_have_the_verdicts_of_each_alone(client: "httpx.Client") -> None:
    """Every eighth is no picture: it must not spoil the batch that it comes in."""
    contents = [picture(seed) for seed in range(4)]
    alone = [comparable(client.post("/predict", content=content, headers=PNG).json()) for content in contents]

    def send(number: int) -> "httpx.Response":
        content = b"no picture" if number % 8 == 7 else contents[number % 4]
        return client.post("/predict", content=content, headers=PNG)

    with ThreadPoolExecutor(64) as pool:
        responses = list(pool.map(send, range(64)))
    for number, response in enumerate(responses):
        if number % 8 == 7:
            assert response.status_code == 415
            assert "no intact picture" in response.json()["detail"]
        else:
            assert response.status_code == 200
            assert comparable(response.json()) == alone[number % 4]


@pytest.mark.parametrize(
    ("request_of", "status", "detail"),
    [
        ({"content": b"", "headers": PNG}, 422, "the upload is empty"),
        ({"content": picture(0)[:-200], "headers": PNG}, 422, "the picture is damaged"),
        ({"content": b"\x89PNG and then nothing", "headers": PNG}, 415, "no intact picture in one of the formats JPEG"),
        ({"content": picture(0)}, 415, "send the picture itself: curl"),
        ({"files": {"image": picture(0)}}, 415, "send the picture itself: curl"),
        ({"json": {"image": "x"}}, 415, "send the picture itself: curl"),
        ({"content": encoded(Image.new("1", (400, 300))), "headers": PNG}, 413, "400 x 300 pixels; at most 100,000"),
        ({"content": bytes(MAX_BYTES + 1), "headers": PNG}, 413, "too large; at most 100,000 bytes"),
        ({"content": bytes(10 * MAX_BYTES), "headers": PNG}, 413, "too large; at most 100,000 bytes"),
    ],
    ids=["empty", "truncated", "garbage", "untyped", "form", "json", "pixels", "bytes", "many bytes"],
)
def test_what_is_refused_gets_one_error(client: "httpx.Client", request_of: dict, status: int, detail: str) -> None:
    response = client.post("/predict", **request_of)
    assert response.status_code == status
    assert set(response.json()) == {"detail"}
    assert detail in response.json()["detail"]
    assert client.get("/health").text == "ok"


def test_an_upload_without_a_length_is_limited_too(client: "httpx.Client") -> None:
    chunks = (bytes(10_000) for _ in range(20))
    response = client.post("/predict", content=chunks, headers=PNG)
    assert response.status_code == 413
    assert "too large" in response.json()["detail"]


def test_the_server_says_what_it_is(client: "httpx.Client") -> None:
    facts = client.get("/info").json()["model"]
    assert facts["classes"] == list("0123456789")
    assert facts["defender"] == "mrcert_sharp"
    assert facts["meaning"].startswith("n patches: every image that differs from this one in at most n patches")
    assert client.get("/predict").status_code == 405


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"which model\? give checkpoint=FILE"),
        (["checkpoint=none.ckpt"], "there is no checkpoint none.ckpt"),
        (["port=80"], "port is a number from 1024 to 65535, not 80"),
        (["host=example.org"], "host is one of 127.0.0.1"),
        (["max_megabytes=0"], "max_megabytes must be more than 0"),
        (["checkpoint=srf.ckpt", "defender=vot"], "ViTSRF has none"),
        (["checkpoint=srf.ckpt", "want=all"], "unknown output level 'all'"),
    ],
)
def test_bad_settings(
    command: Callable[..., None],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as stopped:
        command("serve", *arguments)
    assert stopped.value.code == 1
    assert re.search(message, capsys.readouterr().err)
