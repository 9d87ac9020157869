"""Exported programs give the labels of the model."""

from typing import Any

import pytest
import torch
from noisy_srf import SMALL, noisy_srf, random_images

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import MaskedViT, export_encoder, export_mutants

MODELS: dict[str, Any] = {
    "zero": noisy_srf,
    "drop": lambda: noisy_srf(hidden_tokens="drop", window=(2, 2)),
    "rotary": lambda: MaskedViT("vit_small_patch16_rope_224", num_classes=5, backbone_args=SMALL).eval(),
    "relative": lambda: MaskedViT("beit_base_patch16_224", num_classes=5, backbone_args=SMALL).eval(),
}


@pytest.mark.parametrize("name", MODELS)
def test_exported_programs_give_the_same_labels(name: str) -> None:
    model = MODELS[name]()
    encode, classify = export_encoder(model).module(), export_mutants(model).module()
    for images in (1, 5):
        pixels = random_images(images)
        with torch.no_grad():
            features = model.encode(pixels)
            torch.testing.assert_close(encode(pixels), features)
            for visible in (1, 2, model.windows - 1, model.windows):
                hidden = torch.stack([torch.randperm(model.windows) >= visible for _ in range(images)])
                image = torch.randint(images, (images,))
                expected = model.classify_mutants(features, image, hidden)
                logits = classify(features, image, (~hidden).nonzero()[:, 1].view(images, -1))
                torch.testing.assert_close(logits, expected)
                assert torch.equal(logits.argmax(1), expected.argmax(1))


def test_what_can_not_be_exported() -> None:
    with pytest.raises(ConfigurationError, match="in evaluation mode with one view"):
        export_encoder(noisy_srf().train())
    with pytest.raises(ConfigurationError, match="in evaluation mode with one view"):
        export_mutants(noisy_srf(views="flip"))
