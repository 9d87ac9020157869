"""What the server does with a batch, without a server."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_models import images_for, kinds, save
from torchvision.transforms.functional import to_pil_image

pytest.importorskip("litserve", reason="LitServe is not installed: pip install 'mrcert_pl[serve]'")

from mrcert_pl.guard.serving import GuardAPI, Upload

KIND = kinds()["masked_vit"]


@pytest.fixture
def api(tmp_path: Path) -> GuardAPI:
    settings = {"checkpoint": save(KIND, tmp_path / "best.ckpt"), "batch_size": 8}
    api = GuardAPI(settings, "map", ["PNG"], max_pixels=10_000, batch_timeout=0.0)
    api.setup("cpu")
    return api


def uploads(with_map: bool = False) -> list[Upload]:
    contents = []
    for image in images_for(KIND.model, 3):
        file = io.BytesIO()
        to_pil_image(image).save(file, "PNG")
        contents.append(Upload(file.getvalue(), with_map))
    return contents


def answers(api: GuardAPI, batch: list[Upload]) -> list[tuple[int, dict[str, Any]]]:
    """What LitServe does with a batch: status and content of each response."""
    outputs = api.unbatch(api.predict(api.batch([api.decode_request(upload) for upload in batch])))
    responses = [api.encode_response(output) for output in outputs]
    return [(response.status_code, json.loads(response.body)) for response in responses]


def test_bad_uploads_have_their_own_answers(api: GuardAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    batches, evaluate = [], api.guard.evaluator.evaluate

    def counting(images: Any, *arguments: Any, **settings: Any) -> Any:
        batches.append(len(images))
        return evaluate(images, *arguments, **settings)

    monkeypatch.setattr(api.guard.evaluator, "evaluate", counting)
    good, bad = uploads(), Upload(b"no picture", False)
    mixed = answers(api, [bad, good[0], good[1], bad, good[2]])
    assert batches == [3]
    assert [status for status, _ in mixed] == [415, 200, 200, 415, 200]
    without_time = [content | {"seconds": 0, "margin": 0} for status, content in mixed if status == 200]
    alone = [answers(api, [upload])[0][1] | {"seconds": 0, "margin": 0} for upload in good]
    assert without_time == alone
    assert [status for status, _ in answers(api, [bad, bad])] == [415, 415]


def test_the_map_is_there_if_it_is_asked_for(api: GuardAPI) -> None:
    for upload, (_, content) in zip(uploads(True), answers(api, uploads(True)), strict=True):
        (expected,) = api.guard([Image.open(io.BytesIO(upload.content))])
        (shown,) = content["maps"]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(shown)))), expected.maps[0].numpy())
    assert all("maps" not in content for _, content in answers(api, uploads()))
