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

from mrcert_pl.defenders import OutputLevel
from mrcert_pl.guard import Guard

pytest.importorskip("litserve", reason="LitServe is not installed: pip install 'mrcert_pl[serve]'")

from mrcert_pl.guard.api import GuardAPI
from mrcert_pl.guard.receiving import Limits, Upload

KIND = kinds()["masked_vit"]


@pytest.fixture
def api(tmp_path: Path) -> GuardAPI:
    checkpoint = save(KIND, tmp_path / "best.ckpt")
    limits = Limits(max_megapixels=0.01, batch_timeout=0, formats=("PNG",))
    api = GuardAPI(lambda device: Guard.from_checkpoint(checkpoint, device=device), OutputLevel.MAP, limits, 8)
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
    good, bad = uploads(), Upload(b"no image", False)
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


def test_an_image_that_cannot_be_prepared_fails_alone(api: GuardAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of any type, of an image that decodes."""
    prepare = api.guard.prepare

    def failing(image: Image.Image) -> Any:
        if image.size == (3, 3):
            raise MemoryError("no memory")
        return prepare(image)

    monkeypatch.setattr(api.guard, "prepare", failing)
    file = io.BytesIO()
    Image.new("RGB", (3, 3)).save(file, "PNG")
    results = answers(api, [uploads()[0], Upload(file.getvalue(), False)])
    assert [status for status, _ in results] == [200, 422]
    assert results[1][1] == {"detail": "the image can't be processed: no memory"}
