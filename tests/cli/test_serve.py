"""``mrcert serve``: a server in processes of its own, and a client that is not always polite."""

import base64
import http.client
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
KEY = "a key"


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def photo(seed: int) -> bytes:
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
            [sys.executable, "-m", "mrcert_pl.cli.serve", *settings, "max_megapixels=0.1", "body_timeout=3"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "LIT_SERVER_API_KEY": KEY},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Not ignored, as it is for jobs in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, headers={"X-API-Key": KEY}) as client:
            wait_until_ready(client, server, log)
            yield client
        with ThreadPoolExecutor(8) as pool:
            under_load = [pool.submit(_send_until_stopped, port) for _ in range(8)]
            time.sleep(1)
            stop(server)
            assert all(job.result() >= 0 for job in under_load)
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        # Workers are in the session of the server.
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)


def stop(server: subprocess.Popen) -> None:
    # As a terminal does it: every process gets the signal.
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait(timeout=60) == 0


def _send_until_stopped(port: int) -> int:
    """Send requests until the server is gone; the number of those that were answered."""
    answered = 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, headers={"X-API-Key": KEY, **PNG}) as client:
        while True:
            try:
                client.post("/predict", content=photo(answered))
            except httpx.TransportError:
                return answered
            answered += 1


def wait_until_ready(client: "httpx.Client", server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end and server.poll() is None:
        try:
            # Without the key.
            if httpx.get(client.base_url.join("/health")).text == "ok":
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the server doesn't answer:\n{log.read_text()}")


def comparable(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in ("image", "seconds", "margin")}


def test_the_verdict_is_the_guards(client: "httpx.Client", folder: Path) -> None:
    response = client.post("/predict", content=photo(0), headers=PNG)
    assert response.status_code == 200
    (expected,) = Guard.from_checkpoint(folder / "srf.ckpt")([Image.open(io.BytesIO(photo(0)))])
    assert comparable(response.json()) == comparable(json.loads(json.dumps(expected.to_json())))

    with_map = client.post("/predict?map=true", content=photo(0), headers=PNG).json()
    assert "maps" not in client.post("/predict?map=false", content=photo(0), headers=PNG).json()
    refused = client.post("/predict?map=maybe", content=photo(0), headers=PNG)
    assert (refused.status_code, refused.json()) == (422, {"detail": "map must be true or false, got maybe"})
    (shown,) = with_map.pop("maps")
    assert comparable(with_map) == comparable(response.json())
    safe = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown))))
    assert np.array_equal(safe > 0, expected.maps[0].numpy())


def test_many_at_once_have_the_verdicts_of_each_alone(client: "httpx.Client") -> None:
    """Every eighth is no image: it must not spoil the batch that it comes in."""
    contents = [photo(seed) for seed in range(4)]
    alone = [comparable(client.post("/predict", content=content, headers=PNG).json()) for content in contents]

    def send(number: int) -> "httpx.Response":
        content = b"no image" if number % 8 == 7 else contents[number % 4]
        return client.post("/predict", content=content, headers=PNG)

    with ThreadPoolExecutor(64) as pool:
        responses = list(pool.map(send, range(64)))
    for number, response in enumerate(responses):
        if number % 8 == 7:
            assert response.status_code == 415
            assert "no intact image" in response.json()["detail"]
        else:
            assert response.status_code == 200
            assert comparable(response.json()) == alone[number % 4]


@pytest.mark.parametrize(
    ("request_of", "status", "detail"),
    [
        ({"content": b"", "headers": PNG}, 422, "the upload is empty"),
        ({"content": photo(0)[:-200], "headers": PNG}, 422, "the image is damaged"),
        ({"content": b"\x89PNG and then nothing", "headers": PNG}, 415, "no intact image in one of the formats JPEG"),
        ({"content": photo(0)}, 415, "send the image as the body: curl"),
        ({"files": {"image": b"no image"}}, 415, "no intact image in one of the formats"),
        ({"files": {"image": ""}, "data": {"a": "b"}}, 422, "the upload is empty"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 415, "the form has no boundary"),
        ({"content": encoded(Image.new("1", (3_000, 1))), "headers": PNG}, 422, "sides in a ratio of 100:1 at most"),
        ({"json": {"image": "x"}}, 415, "send the image as the body: curl"),
        ({"content": encoded(Image.new("1", (400, 300))), "headers": PNG}, 413, "400 x 300 pixels; at most 100,000"),
        ({"content": bytes(MAX_BYTES + 1), "headers": PNG}, 413, "too large; at most 100,000 bytes"),
        ({"content": bytes(10 * MAX_BYTES), "headers": PNG}, 413, "too large; at most 100,000 bytes"),
    ],
    ids=[
        "empty",
        "truncated",
        "garbage",
        "untyped",
        "form",
        "empty form",
        "boundary",
        "long",
        "json",
        "pixels",
        "bytes",
        "many bytes",
    ],
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
    facts = client.get("/info").json()
    assert facts["classes"] == list("0123456789")
    assert facts["defender"] == "mrcert_sharp"
    assert facts["patch"] == {"shapes_px": [[16, 16]], "image_px": [224, 224]}
    assert facts["output"] == "map"
    assert facts["meaning"].startswith("n patches: every image that differs from this one in at most n patches")
    assert "srf.ckpt" not in json.dumps(facts)
    assert client.get("/predict").status_code == 405


def test_a_form_has_the_verdict_of_its_file(client: "httpx.Client") -> None:
    alone = client.post("/predict", content=photo(1), headers=PNG).json()
    form = client.post("/predict", files={"image": ("photo.png", photo(1), "image/png")}, data={"note": "x"})
    assert comparable(form.json()) == comparable(alone)


def test_the_health_needs_no_key_and_the_rest_does(client: "httpx.Client") -> None:
    with httpx.Client(base_url=client.base_url, timeout=60) as stranger:
        assert stranger.get("/health").status_code == 200
        for answer in (
            stranger.get("/info"),
            stranger.get("/metrics"),
            stranger.post("/predict", content=photo(0), headers=PNG),
        ):
            assert answer.status_code in (401, 403)


def test_metrics_count_requests_and_decisions(client: "httpx.Client") -> None:
    def counts() -> dict[str, float]:
        lines = client.get("/metrics").text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    before = counts()
    verdict = client.post("/predict", content=photo(0), headers=PNG).json()
    client.post("/predict", content=b"no image", headers=PNG)
    after = counts()
    for name in (
        'mrcert_requests_total{status="200"}',
        'mrcert_requests_total{status="415"}',
        f'mrcert_verdicts_total{{decision="{verdict["decision"]}"}}',
    ):
        assert after[name] == before.get(name, 0) + 1
    assert after["mrcert_requests_in_flight"] == 0
    assert after["mrcert_request_seconds_count"] == before["mrcert_request_seconds_count"] + 2


def raw_upload(client: "httpx.Client", length: int, sent: bytes) -> socket.socket:
    """A connection that has sent the first bytes of an upload."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30)
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: image/png\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + sent)
    return connection


def test_an_aborted_upload_is_one_line_in_the_log(client: "httpx.Client", folder: Path) -> None:
    log = folder / "log.txt"
    before = log.read_text().count("upload aborted by 127.0.0.1")
    raw_upload(client, 1000, b"abc").close()
    end = time.monotonic() + 30
    while log.read_text().count("upload aborted by 127.0.0.1") == before and time.monotonic() < end:
        time.sleep(0.1)
    assert log.read_text().count("upload aborted by 127.0.0.1") == before + 1
    assert "Traceback" not in log.read_text()


def test_an_upload_that_stalls_times_out(client: "httpx.Client") -> None:
    with raw_upload(client, 1000, b"abc") as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 408
        assert b"the upload took more than 3 seconds" in answer.read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give checkpoint=FILE"),
        (["checkpoint=none.ckpt"], "there is no checkpoint none.ckpt"),
        (["checkpoint=srf.ckpt", "port=80"], "port must be a number from 1024 to 65535, got 80"),
        (["checkpoint=srf.ckpt", "host=example.org"], "host must be one of 127.0.0.1"),
        (["max_megabytes=0"], "max_megabytes must be more than 0, got 0"),
        (["max_requests=none"], "max_requests must be more than 0, got 'none'"),
        (["checkpoint=srf.ckpt", "defender=vot"], "ViTSRF has none"),
        (["checkpoint=srf.ckpt", "output=all"], "unknown output level 'all'"),
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
