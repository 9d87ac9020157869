from typing import Any

import pytest

from mrcert_pl.data.attacked_model import MODEL_KINDS, model_of, target_of
from mrcert_pl.models import registry
from mrcert_pl.plain import FieldError

OURS: dict[str, Any] = {
    "name": "vit_srf",
    "_target_": "mrcert_pl.models.ViTSRF",
    "backbone": "vit_tiny_patch16_224",
    "window": [14, 1],
    "backbone_args": {"depth": 2},
}


def test_the_kinds_are_those_of_the_registry() -> None:
    """The header's module does not import the models."""
    assert {name: registry.kinds()[kind].__name__ for name, kind in MODEL_KINDS.items()} == MODEL_KINDS
    for kind in MODEL_KINDS:
        assert model_of({"name": kind}) == model_of({"_target_": target_of(kind)}) == (kind, {})


def test_settings_without_the_weights_that_a_training_starts_from() -> None:
    start = {"pretrained": True, "weights": "../secret.pth", "head_rows": [1]}
    kind, settings = model_of(OURS | start)
    assert kind == "vit_srf"
    assert settings == {
        "backbone": "vit_tiny_patch16_224",
        "window": [14, 1],
        "backbone_args": {"depth": 2},
        "pretrained": False,
        "weights": None,
        "head_rows": None,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_target_", "torch.load"),
        ("_target_", "mrcert_pl.models.checkpoints.read_checkpoint"),
        ("_target_", {"_target_": "os.system"}),
        ("backbone", "hf-hub:somebody/model"),
        ("backbone", "local-dir:/home"),
        ("backbone_args", {"checkpoint_path": "/tmp/evil.pth"}),
        ("backbone_args", {"pretrained": True}),
        ("window", [{"pretrained_cfg": {"file": "/tmp/evil.pth"}}]),
    ],
)
def test_nothing_is_taken_of_a_model_that_is_not_ours_or_not_closed(name: str, value: object) -> None:
    assert model_of(OURS | {name: value}) == ("", {})


def test_instructions_are_refused() -> None:
    with pytest.raises(FieldError, match="has the key '_target_'"):
        model_of(OURS | {"backbone_args": {"_target_": "os.system"}})
