"""Exported programs give the labels of the model."""

from typing import Any

import pytest
import torch
from noisy_srf import SMALL, noisy_srf

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import MaskedViT
from mrcert_pl.models.export import export_encoder, export_mutants

MODELS: dict[str, Any] = {
    "zero": noisy_srf,
    "drop": lambda: noisy_srf(hidden_tokens="drop", window=(2, 2)),
    "rotary": lambda: MaskedViT("vit_small_patch16_rope_224", num_classes=5, backbone_args=SMALL).eval(),
    "relative": lambda: MaskedViT("beit_base_patch16_224", num_classes=5, backbone_args=SMALL).eval(),
}


@pytest.mark.parametrize("name", MODELS)
def test_exported_programs_give_the_same_labels(name: str) -> None:
    model = MODELS[name]()
    visible = model.windows - 1
    with torch.no_grad():
        encode, classify = export_encoder(model).module(), export_mutants(model, visible).module()
        images = torch.rand(5, 3, 64, 64)
        features = encode(images)
        torch.testing.assert_close(features, model.encode(images))
        hidden = torch.eye(model.windows, dtype=torch.bool)[:4]
        image = torch.tensor([4, 0, 2, 2])
        expected = model.classify_mutants(model.encode(images), image, hidden)
        logits = classify(features, image, hidden)
    torch.testing.assert_close(logits, expected)
    assert torch.equal(logits.argmax(1), expected.argmax(1))


def test_what_can_not_be_exported() -> None:
    with pytest.raises(ConfigurationError, match="in evaluation mode with one view"):
        export_encoder(noisy_srf().train())
    with pytest.raises(ConfigurationError, match="in evaluation mode with one view"):
        export_encoder(noisy_srf(views="flip"))
    with pytest.raises(ConfigurationError, match="from 1 to the 4 windows, got 5"):
        export_mutants(noisy_srf(), 5)
